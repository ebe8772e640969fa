mod claims;
mod network;
mod whole;
