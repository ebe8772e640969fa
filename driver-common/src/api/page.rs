//! The files of the page. It needs only these files and the API.

/// A file of the page.
pub(super) struct File {
    pub(super) content_type: &'static str,
    pub(super) content: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The file at this path.
pub(super) fn file(path: &str) -> Option<File> {
    let (content_type, content): (_, &[u8]) = match path {
        "/" => (HTML, include_bytes!("page/index.html")),
        "/page/style.css" => (CSS, include_bytes!("page/style.css")),
        "/page/icon.svg" => (SVG, include_bytes!("page/icon.svg")),
        "/page/composer.js" => (JAVASCRIPT, include_bytes!("page/composer.js")),
        "/page/log.js" => (JAVASCRIPT, include_bytes!("page/log.js")),
        "/page/main.js" => (JAVASCRIPT, include_bytes!("page/main.js")),
        "/page/marks.js" => (JAVASCRIPT, include_bytes!("page/marks.js")),
        "/page/node.js" => (JAVASCRIPT, include_bytes!("page/node.js")),
        "/page/people.js" => (JAVASCRIPT, include_bytes!("page/people.js")),
        "/page/text.js" => (JAVASCRIPT, include_bytes!("page/text.js")),
        _ => return None,
    };
    Some(File { content_type, content })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_page_is_served_as_it_is() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/page");
        let mut files = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let served = if name == "index.html" { file("/") } else { file(&format!("/page/{name}")) };
            assert_eq!(served.expect(name).content, std::fs::read(&path).unwrap(), "{name}");
            files += 1;
        }
        assert!(files > 5);
    }

    #[test]
    fn the_page_asks_for_nothing_that_is_not_served() {
        let page = std::str::from_utf8(file("/").unwrap().content).unwrap();
        let mut references = 0;
        for attribute in ["src=\"", "href=\""] {
            for reference in page.split(attribute).skip(1) {
                let path = reference.split('"').next().unwrap();
                assert!(file(path).is_some(), "{path}");
                references += 1;
            }
        }
        assert!(references >= 4);
        assert!(!page.contains("style=") && !page.contains("onclick") && !page.contains("<style"));
    }
}
