//! KurrentDB's protocol, as tonic-build 0.13 makes it from the `.proto` files of the vendor's client (kurrentdb 1.2.0):
//! `configure().build_client(false).bytes(["."])` over streams and gossip. Those files are under the MIT licence,
//! `google.rpc` under Apache 2.0. What deletes streams was cut, since nothing calls it, and the modules of servers were
//! put behind a feature. What calls them is in the crate `event-store`, and the server for tests in
//! `kurrentdb-stand-in`.

#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code allows itself what it needs"
)]
#![allow(warnings, missing_docs, unreachable_pub, clippy::all, reason = "generated, and more than we need")]

#[rustfmt::skip]
pub mod event_store {
    pub mod client {
        include!("generated/common.rs");
        pub mod streams {
            include!("generated/streams.rs");
        }
        pub mod gossip {
            include!("generated/gossip.rs");
        }
    }
}

#[rustfmt::skip]
pub mod google {
    pub mod rpc {
        include!("generated/rpc.rs");
    }
}
