//! The signature of a message, as Standard Webhooks 1.0 defines it.

use standardwebhooks::Webhook;

/// `v1,<base64>` over id, time and body with the endpoint's secret (`whsec_…`); `None` when the secret is not one.
pub fn signature(secret: &str, id: &str, at_s: i64, body: &[u8]) -> Option<String> {
    Webhook::new(secret).ok()?.sign(id, at_s, body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_the_specifications_example_is() {
        let body = br#"{"test": 2432232314}"#;
        let signed =
            signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(signature("whsec_%%%", "msg", 1, body), None);
    }
}
