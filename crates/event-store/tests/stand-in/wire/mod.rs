//! KurrentDB's protocol, as tonic-build 0.13 makes it from the `.proto` files that the client (kurrentdb 1.2.0)
//! ships in `protos/`: `configure().build_client(false).bytes(["."])` over streams, gossip and serverfeatures.
//! Those files are under the MIT licence, `google.rpc` under Apache 2.0.

#![allow(
    warnings,
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated, and more than the stand-in needs"
)]

#[rustfmt::skip]
pub mod event_store {
    pub mod client {
        include!("common.rs");
        pub mod streams {
            include!("streams.rs");
        }
        pub mod gossip {
            include!("gossip.rs");
        }
        pub mod server_features {
            include!("server_features.rs");
        }
    }
}

#[rustfmt::skip]
pub mod google {
    pub mod rpc {
        include!("rpc.rs");
    }
}
