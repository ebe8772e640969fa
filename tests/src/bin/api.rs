//! Prints the public interface of a crate, from the JSON that rustdoc wrote of it with different features:
//! `api <without any> <with all> [<feature>=<with this one alone>]…`. `.ci/api` calls it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;

use tests::api_listing::{Listing, listing, merged};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [without_any, with_all, with @ ..] = args.as_slice() else {
        return Err("api <without any> <with all> [<feature>=<with this one alone>]…".into());
    };
    let mut features = BTreeMap::new();
    for feature in with {
        let (name, file) = feature.split_once('=').ok_or("a feature is <name>=<file>")?;
        features.insert(name.to_owned(), read(file)?);
    }
    for line in merged(&read(without_any)?, &features, &read(with_all)?) {
        println!("{line}");
    }
    Ok(())
}

fn read(file: &str) -> Result<Listing, Box<dyn Error>> {
    Ok(listing(&fs::read_to_string(file)?).map_err(|error| format!("{file}: {error}"))?)
}
