use super::*;

fn greeting_packet(plugin: &[u8], length: u8) -> Vec<u8> {
    let mut packet = vec![10];
    packet.extend_from_slice(b"9.7.4\0");
    packet.extend_from_slice(&7u32.to_le_bytes());
    packet.extend_from_slice(b"12345678\0");
    packet.extend_from_slice(&0xFFFFu16.to_le_bytes());
    packet.extend_from_slice(&[45, 2, 0]);
    packet.extend_from_slice(&0xDFFFu16.to_le_bytes());
    packet.push(length);
    packet.extend_from_slice(&[0; 10]);
    packet.extend_from_slice(b"abcdefghijkl\0");
    packet.extend_from_slice(plugin);
    packet
}

#[test]
fn a_greeting_is_read() {
    let greeting = Greeting::parse(&greeting_packet(b"caching_sha2_password\0", 21)).expect("one");
    assert_eq!(greeting.version, "9.7.4");
    assert_eq!(greeting.nonce, b"12345678abcdefghijkl");
    assert_eq!(greeting.plugin, b"caching_sha2_password");
    assert!(greeting.capabilities.contains(CapabilityFlags::CLIENT_SSL));
}

#[test]
fn no_prefix_and_no_garbled_greeting_panics() {
    let packet = greeting_packet(b"caching_sha2_password\0", 21);
    for end in 0..packet.len() {
        let _ = Greeting::parse(&packet[..end]);
    }
    for length in 0..=255 {
        let _ = Greeting::parse(&greeting_packet(b"x", length));
    }
    for seed in 0..2000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut garbled = packet.clone();
        for _ in 0..4 {
            let at = random.usize(..garbled.len());
            garbled[at] = random.u8(..);
        }
        let _ = Greeting::parse(&garbled);
    }
}

const KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxSKOcxiet8lLMn8ImyUE
bGGKob5EdRz/4wdiw12ED0GfKKTKhVnodFCfm1mdy7bKOX5QxL9skrvYodpW43eR
R5bfOzIgy1qIB8RYb6qOXRBw1oA4snBDqtUjDv/lbHLJN+IbzM4oU+e3Lt9rXyLX
VY289ewONPweXHqSCnTL91w+wkU1peIFV2QhZ+upUCdCtwOn5hnJPNgxtbklFoya
C8W3Z7Xx7He2QDJsEWAqX197efw0L6j8X8Tyd8Uwb7zUB1tfMGhHfm9EwejPAtzx
4GztQNtNMtGS2oGZLQBLV9hib4dDL92iiZeckg2LAf4GsJofLLR8mcHCRoqVbQJ1
YQIDAQAB
-----END PUBLIC KEY-----
";

#[test]
fn the_password_is_sealed_and_garbled_keys_are_refused() {
    let key = |text: &str| Bytes::from([b"\x01", text.as_bytes()].concat());
    let sealed = seal(b"secret\0", b"nonce", key(KEY)).expect("sealed");
    assert_eq!(sealed.len(), 256);
    assert!(seal(b"secret\0", b"", key(KEY)).is_none());
    assert!(seal(&[b'x'; 300], b"nonce", key(KEY)).is_none());
    assert!(seal(b"x", b"nonce", Bytes::from_static(b"\x01nonsense")).is_none());
    for seed in 0..3000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut text = KEY.as_bytes().to_vec();
        let at = random.usize(..text.len());
        text[at] = random.alphanumeric() as u8;
        text.truncate(random.usize(text.len() / 2..text.len() + 1).max(at));
        let _ = seal(
            b"secret\0",
            b"nonce",
            Bytes::from([&b"\x01"[..], &text].concat()),
        );
    }
}

#[test]
fn unknown_plugins_are_named() {
    let options = Options::default();
    let error = switch(&options, b"auth_socket\0abc\0").expect_err("unknown");
    assert!(error.message().contains("auth_socket"));
    let (plugin, nonce) = switch(&options, b"mysql_native_password\0abc\0").expect("known");
    assert_eq!(plugin, AuthPlugin::MysqlNativePassword);
    assert_eq!(nonce, b"abc");
}
