//! Responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::slots::PendingAnswer;
use crate::broadcast::json::to_json;

/// A response's body. It marks its connection as busy until the body is handed over.
pub(super) struct Reply {
    bytes: Full<Bytes>,
    pending: Option<PendingAnswer>,
}

/// Security headers: browsers may not guess the content type, may load only the page's own files, and may not embed the
/// response in other sites.
const SECURITY: [(HeaderName, &str); 4] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A response with this body.
pub(super) fn reply(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Reply> {
    let body = Reply { bytes: Full::new(body.into()), pending: None };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A JSON response.
pub(super) fn json(body: String) -> Response<Reply> {
    reply(StatusCode::OK, "application/json", body)
}

/// An error, as JSON.
pub(super) fn error(status: StatusCode, text: &str) -> Response<Reply> {
    #[derive(Serialize)]
    struct Failed<'a> {
        error: &'a str,
    }
    let mut response = reply(status, "application/json", to_json(&Failed { error: text }));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The token is needed, or is not the right one (RFC 6750, 3).
pub(super) fn unauthorized(text: &str) -> Response<Reply> {
    let mut response = error(StatusCode::UNAUTHORIZED, text);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The path supports other methods only.
pub(super) fn method_not_allowed(allow: &'static str) -> Response<Reply> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "this path does not support that method");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

impl Reply {
    /// An empty body.
    pub(super) fn empty() -> Self {
        Self { bytes: Full::default(), pending: None }
    }

    /// Marks the connection as busy until this body is handed over.
    pub(super) fn hold(&mut self, pending: PendingAnswer) {
        self.pending = Some(pending);
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.bytes).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}
