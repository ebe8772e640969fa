//! The files of the page. It needs only these files and the API.

/// A file of the page.
#[derive(Clone, Copy)]
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) content_type: &'static str,
    pub(super) content: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The files, the page itself first.
pub(super) const FILES: [File; 15] = [
    File { path: "/", content_type: HTML, content: include_bytes!("page/index.html") },
    File { path: "/page/style.css", content_type: CSS, content: include_bytes!("page/style.css") },
    File { path: "/page/icon.svg", content_type: SVG, content: include_bytes!("page/icon.svg") },
    script("/page/access.js", include_bytes!("page/access.js")),
    script("/page/arrivals.js", include_bytes!("page/arrivals.js")),
    script("/page/commands.js", include_bytes!("page/commands.js")),
    script("/page/composer.js", include_bytes!("page/composer.js")),
    script("/page/log.js", include_bytes!("page/log.js")),
    script("/page/main.js", include_bytes!("page/main.js")),
    script("/page/marks.js", include_bytes!("page/marks.js")),
    script("/page/mutes.js", include_bytes!("page/mutes.js")),
    script("/page/node.js", include_bytes!("page/node.js")),
    script("/page/past.js", include_bytes!("page/past.js")),
    script("/page/people.js", include_bytes!("page/people.js")),
    script("/page/text.js", include_bytes!("page/text.js")),
];

const fn script(path: &'static str, content: &'static [u8]) -> File {
    File { path, content_type: "text/javascript; charset=utf-8", content }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn file(path: &str) -> Option<File> {
        FILES.into_iter().find(|file| file.path == path)
    }

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
