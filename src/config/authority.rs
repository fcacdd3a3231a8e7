//! The certificates of a `ca-file`.
//!
//! In: a path. Out: certificates that can be trusted, or what is wrong with the file. Nothing of the
//! file is repeated in a message: there may be a private key beside the certificate.

use super::problem::Fault;
use super::read_bounded;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

const REMEDY: &str = "name a file that begins with -----BEGIN CERTIFICATE-----";

/// Why a `ca-file` cannot be used, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; {}", .0.what, .0.remedy)]
pub struct CaFileError(pub(super) Fault);

/// Reads the certificates in PEM form in the file at `path`; there is at least one, and each can be
/// trusted to sign. Anything else in the file is passed over.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CaFileError> {
    let told = |what: &str, remedy| CaFileError(Fault::new(format!("{path:?} {what}"), remedy));
    let bytes = read(path).map_err(|error| unreadable(path, &error))?;
    let Some(bytes) = bytes else {
        return Err(told("is larger than 1 MiB", REMEDY));
    };
    let mut certificates = Vec::new();
    for (certificate, number) in CertificateDer::pem_slice_iter(&bytes).zip(1..) {
        // A section of PEM may be whole and its content still no certificate.
        let usable = certificate
            .ok()
            .filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
        let Some(certificate) = usable else {
            let what = format!("is broken at certificate {number}");
            return Err(told(&what, "copy it again from where it came from"));
        };
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(told("holds no certificate in PEM form", REMEDY));
    }
    Ok(certificates)
}

/// Nothing when it is too large.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // Opening a pipe would wait for whoever writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(ErrorKind::IsADirectory.into());
    }
    read_bounded(path)
}

fn unreadable(path: &Path, error: &io::Error) -> CaFileError {
    let (what, remedy) = match error.kind() {
        ErrorKind::NotFound => ("does not exist".to_owned(), "create it or name another one"),
        ErrorKind::PermissionDenied => (
            "may not be read by this user".to_owned(),
            "let the user that webntpd runs as read it, and enter its directory",
        ),
        ErrorKind::IsADirectory => ("is not a file".to_owned(), REMEDY),
        _ => (format!("cannot be read: {error}"), "name a file that can"),
    };
    CaFileError(Fault::new(format!("{path:?} {what}"), remedy))
}
