mod claims;
mod network;
mod scenarios;
