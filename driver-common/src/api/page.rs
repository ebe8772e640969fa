//! The files of the page, which needs nothing but this API.

/// One file.
pub(super) struct File {
    pub(super) content_type: &'static str,
    pub(super) content: &'static [u8],
}

/// The file at this path.
pub(super) fn file(path: &str) -> Option<File> {
    let (content_type, content): (_, &[u8]) = match path {
        "/" => ("text/html; charset=utf-8", include_bytes!("page/index.html")),
        _ => return None,
    };
    Some(File { content_type, content })
}
