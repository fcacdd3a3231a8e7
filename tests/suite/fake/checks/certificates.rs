//! Certificates that a client must not take, and those that it must.

use std::io;

use rustls::{CertificateError, Error};

use super::client::{HttpClient, try_connect};
use crate::fake::{Authority, FakeUpstream, Leaf, Setup, Tls};

fn refusal(leaf: Leaf) -> Error {
    let fake = FakeUpstream::start(Setup {
        tls: Some(Tls {
            leaf,
            ..Tls::of(&Authority::new())
        }),
        ..Setup::honest()
    });
    let refused: io::Error = try_connect(&fake).expect_err("nobody takes that");
    let error = refused.into_inner().expect("it comes from TLS");
    *error.downcast().expect("it comes from rustls")
}

#[test]
fn a_certificate_can_be_expired_not_yet_valid_or_for_another_name() {
    let bad = |leaf| match refusal(leaf) {
        Error::InvalidCertificate(error) => error,
        other => panic!("{other}"),
    };
    assert!(matches!(
        bad(Leaf::Expired),
        CertificateError::Expired | CertificateError::ExpiredContext { .. }
    ));
    assert!(matches!(
        bad(Leaf::NotYetValid),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }
    ));
    assert!(matches!(
        bad(Leaf::WrongName),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    ));
}

#[test]
fn one_authority_vouches_for_many_servers() {
    let authority = Authority::new();
    for _ in 0..2 {
        let fake = FakeUpstream::start(Setup {
            tls: Some(Tls::of(&authority)),
            ..Setup::honest()
        });
        HttpClient::connect(&fake).exchange("1").unwrap();
    }
}
