// SPDX-License-Identifier: MPL-2.0
// Links with what pkg-config says of the library: PKG_CONFIG_PATH=/usr/local/lib/pkgconfig cargo build --release
use std::process::Command;

fn main() {
    let out = Command::new("pkg-config").args(["--static", "--libs", "nomadplugin"]).output().expect("run pkg-config");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for word in String::from_utf8(out.stdout).unwrap().split_whitespace() {
        println!("cargo:rustc-link-arg={word}");
    }
}
