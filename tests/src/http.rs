//! The smallest HTTP client that will do, on plain sockets.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header's lines after the first.
    pub header: Vec<String>,
    /// The body.
    pub body: String,
}

impl Response {
    /// The value of a field of the header.
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.header.iter().filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks for `path`.
pub fn get(addr: SocketAddr, path: &str) -> io::Result<Response> {
    request(addr, "GET", path, "")
}

/// Sends JSON to `path`.
pub fn post(addr: SocketAddr, path: &str, body: &Value) -> io::Result<Response> {
    request(addr, "POST", path, &body.to_string())
}

/// One request on its own connection.
pub fn request(addr: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<Response> {
    request_with(addr, method, path, "", body)
}

/// The same with more lines of the header, each with its end.
pub fn request_with(
    addr: SocketAddr,
    method: &str,
    path: &str,
    header: &str,
    body: &str,
) -> io::Result<Response> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n{header}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    read_response(&mut BufReader::new(stream))
}

/// Reads one answer.
pub fn read_response(stream: &mut impl BufRead) -> io::Result<Response> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut header = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => header.push(line.to_owned()),
        }
    }
    let status_line = if header.is_empty() { String::new() } else { header.remove(0) };
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| invalid(&status_line))?;
    let length = header.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
    });
    let mut body = Vec::new();
    match length {
        Some(length) => stream.take(length).read_to_end(&mut body)?,
        None => stream.read_to_end(&mut body)?,
    };
    let body = String::from_utf8(body).map_err(|_| invalid("the body is not UTF-8"))?;
    Ok(Response { status, header, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_length_says_and_no_more() {
        let mut bytes = &b"HTTP/1.1 404 Not Found\r\ncontent-LENGTH: 2\r\n\r\n{}next"[..];
        let response = read_response(&mut bytes).unwrap();
        assert_eq!((response.status, response.json()), (404, Value::Object(Default::default())));
        assert_eq!(bytes, b"next");
        assert!(read_response(&mut &b"nonsense\r\n\r\n"[..]).is_err());
        assert!(read_response(&mut &b"HTTP/1.1 200 OK\r\n"[..]).is_err());
    }
}
