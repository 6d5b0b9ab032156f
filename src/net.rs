//! Where this service may connect to: the guard in front of every outgoing HTTP request to a configured address.
//!
//! Foundation for `embed`, `llm` and `embed::weights`, later for connectors and webhooks. An [`Endpoint`] is a base URL from
//! *configuration*, never from a request. It is checked when parsed (scheme, no credentials, literal addresses in any
//! spelling) and again when a name is resolved for a connection ([`GuardedResolver`]), so that a name which resolves to a
//! public address now and to a private one later is refused at connect time. Redirects are not followed and no proxy is
//! taken from the environment.
//!
//! Classes of addresses: IANA special-purpose registries (RFC 6890 and successors).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Why an address is refused. Names the class, never the credentials that a URL may contain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    #[error("not a URL")]
    NotAUrl,
    #[error("the scheme must be https (or http where private networks are allowed)")]
    Scheme,
    #[error("a URL with a user name, password, query or fragment is not accepted")]
    Extras,
    #[error("{0} addresses are not allowed")]
    Forbidden(&'static str),
    #[error("the name does not resolve")]
    Unresolved,
    #[error("another host than the configured one")]
    OtherHost,
    #[error("the HTTP client cannot be set up")]
    Client,
}

/// Which addresses are open to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetPolicy {
    /// Loopback, private and shared (CGNAT) networks may be reached, and plain `http` is taken: a model server on the same
    /// machine or in the same cluster. Link-local and metadata addresses stay closed.
    pub allow_private_network: bool,
}

impl NetPolicy {
    /// Refuses `address` with the name of its class, or lets it pass.
    pub fn check(self, address: IpAddr) -> Result<(), NetError> {
        match class(address) {
            Class::Public => Ok(()),
            Class::Private(_) if self.allow_private_network => Ok(()),
            Class::Private(name) | Class::Never(name) => Err(NetError::Forbidden(name)),
        }
    }
}

enum Class {
    Public,
    /// Open to those who allow private networks.
    Private(&'static str),
    /// Open to nobody.
    Never(&'static str),
}

fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    }
}

fn class_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        [169, 254, ..] | [100, 100, 100, 200] => Class::Never("link-local and metadata"),
        [0, ..] => Class::Never("unspecified"),
        [224..=239, ..] => Class::Never("multicast"),
        [240..=255, ..] => Class::Never("reserved"),
        [192, 0, 0, _] | [192, 0, 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Class::Never("reserved")
        }
        [198, 18..=19, ..] => Class::Never("benchmarking"),
        [127, ..] => Class::Private("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private("private"),
        [100, 64..=127, ..] => Class::Private("shared (CGNAT)"),
        _ => Class::Public,
    }
}

fn class_v6(address: Ipv6Addr) -> Class {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| class_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Private("loopback"),
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Never("unspecified"),
        // IPv4-mapped, IPv4-compatible and IPv4-translated: judged by the IPv4 address they lead to.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] => Class::Never("local NAT64"),
        [0x2002, high, low, ..] => embedded(high, low),
        [0x2001, 0, ..] => Class::Never("Teredo"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Class::Never("documentation"),
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Class::Never("link-local and metadata"),
        [0xfc00..=0xfdff, ..] => Class::Private("private"),
        [0xfe80..=0xfebf, ..] => Class::Never("link-local and metadata"),
        [0xfec0..=0xfeff, ..] => Class::Never("site-local"),
        [0xff00..=0xffff, ..] => Class::Never("multicast"),
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Never("reserved"),
    }
}

/// A configured base URL together with the policy it was checked under.
#[derive(Debug, Clone)]
pub struct Endpoint {
    base: Url,
    policy: NetPolicy,
}

impl Endpoint {
    /// Checks `base_url`, which comes from configuration.
    ///
    /// The URL parser already turns decimal, octal and hexadecimal spellings of an IPv4 address (`2130706433`, `0177.1`)
    /// into the address, so one check covers them all.
    pub fn parse(base_url: &str, policy: NetPolicy) -> Result<Self, NetError> {
        let base = Url::parse(base_url.trim()).map_err(|_| NetError::NotAUrl)?;
        match base.scheme() {
            "https" => {}
            "http" if policy.allow_private_network => {}
            _ => return Err(NetError::Scheme),
        }
        let plain = base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !plain {
            return Err(NetError::Extras);
        }
        if let Some(address) = literal_address(&base)? {
            policy.check(address)?;
        }
        Ok(Self { base, policy })
    }

    /// The base URL without a trailing slash.
    pub fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Passes only URLs of the configured origin: a credential for this endpoint goes nowhere else.
    pub fn check(&self, url: &Url) -> Result<(), NetError> {
        if url.origin() == self.base.origin() { Ok(()) } else { Err(NetError::OtherHost) }
    }

    /// A client that connects only where the policy allows, follows no redirect and knows no proxy.
    ///
    /// `lookup` replaces the system's resolver; tests use it.
    pub fn client(&self, connect_timeout: Duration, lookup: Arc<dyn Lookup>) -> Result<reqwest::Client, NetError> {
        guarded(self.policy, connect_timeout, lookup)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| NetError::Client)
    }
}

/// A client builder with the guard in place; redirects are up to the caller.
pub(crate) fn guarded(policy: NetPolicy, connect_timeout: Duration, lookup: Arc<dyn Lookup>) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(connect_timeout)
        .dns_resolver(Arc::new(GuardedResolver { policy, lookup }))
}

/// The URL's host as an address when it is written as one.
pub(crate) fn literal_address(url: &Url) -> Result<Option<IpAddr>, NetError> {
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(NetError::NotAUrl)?;
    Ok(host.trim_start_matches('[').trim_end_matches(']').parse().ok())
}

/// Turns a host name into addresses.
pub trait Lookup: Send + Sync {
    /// Addresses of `host`, in order of preference.
    fn lookup(&self, host: String) -> futures::future::BoxFuture<'static, std::io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> futures::future::BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// Resolves names for the HTTP client and refuses a name as soon as one of its addresses is closed.
struct GuardedResolver {
    policy: NetPolicy,
    lookup: Arc<dyn Lookup>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, lookup) = (self.policy, self.lookup.clone());
        Box::pin(async move {
            let addresses = lookup.lookup(name.as_str().to_owned()).await.map_err(|_| NetError::Unresolved)?;
            if addresses.is_empty() {
                return Err(NetError::Unresolved.into());
            }
            for address in &addresses {
                policy.check(*address)?;
            }
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// The guard's own refusal inside a client error, if that is what it was.
pub(crate) fn refusal(error: &reqwest::Error) -> Option<NetError> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(refusal) = cause.downcast_ref::<NetError>() {
            return Some(refusal.clone());
        }
        source = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: NetPolicy = NetPolicy { allow_private_network: true };
    const CLOSED: NetPolicy = NetPolicy { allow_private_network: false };

    fn refused(url: &str, policy: NetPolicy) -> Option<NetError> {
        Endpoint::parse(url, policy).err()
    }

    #[test]
    fn private_addresses_in_any_spelling_are_refused_unless_configured() {
        for (url, class) in [
            ("https://127.0.0.1/v1", "loopback"),
            ("https://2130706433/v1", "loopback"),
            ("https://0177.0.0.1/v1", "loopback"),
            ("https://0x7f.1/v1", "loopback"),
            ("https://127.1:8443/v1", "loopback"),
            ("https://[::1]/v1", "loopback"),
            ("https://[::ffff:127.0.0.1]/v1", "loopback"),
            ("https://[::127.0.0.1]/v1", "loopback"),
            ("https://[64:ff9b::7f00:1]/v1", "loopback"),
            ("https://[2002:7f00:1::]/v1", "loopback"),
            ("https://10.0.0.8/v1", "private"),
            ("https://172.31.255.255/v1", "private"),
            ("https://192.168.1.1/v1", "private"),
            ("https://[fd12:3456::1]/v1", "private"),
            ("https://[::ffff:10.1.2.3]/v1", "private"),
            ("https://100.64.0.1/v1", "shared (CGNAT)"),
        ] {
            assert_eq!(refused(url, CLOSED), Some(NetError::Forbidden(class)), "{url}");
            assert_eq!(refused(url, OPEN), None, "{url} with private networks allowed");
        }
    }

    #[test]
    fn metadata_and_reserved_addresses_are_refused_always() {
        for url in [
            "https://169.254.169.254/latest",
            "https://2852039166/latest",
            "https://0xa9fea9fe/latest",
            "https://[::ffff:169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://100.100.100.200/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://0.0.0.0/",
            "https://[::]/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://[ff02::1]/",
            "https://[2001::1]/",
            "https://[64:ff9b:1::1]/",
        ] {
            assert!(matches!(refused(url, OPEN), Some(NetError::Forbidden(_))), "{url}");
            assert!(matches!(refused(url, CLOSED), Some(NetError::Forbidden(_))), "{url}");
        }
    }

    #[test]
    fn public_addresses_and_names_pass() {
        for url in ["https://api.openai.com/v1", "https://8.8.8.8/v1", "https://[2606:4700::1111]/v1"] {
            assert_eq!(refused(url, CLOSED), None, "{url}");
        }
    }

    #[test]
    fn schemes_credentials_and_query_strings_are_refused() {
        assert_eq!(refused("http://api.openai.com/v1", CLOSED), Some(NetError::Scheme));
        assert_eq!(refused("file:///etc/passwd", OPEN), Some(NetError::Scheme));
        assert_eq!(refused("gopher://127.0.0.1", OPEN), Some(NetError::Scheme));
        assert_eq!(refused("https://user:secret@api.openai.com/v1", CLOSED), Some(NetError::Extras));
        assert_eq!(refused("https://api.openai.com/v1?key=1", CLOSED), Some(NetError::Extras));
        assert_eq!(refused("not a url", CLOSED), Some(NetError::NotAUrl));
    }

    #[test]
    fn another_origin_is_never_given_the_key() {
        let endpoint = Endpoint::parse("https://api.example.com/v1", CLOSED).unwrap();
        assert_eq!(endpoint.base(), "https://api.example.com/v1");
        for (url, allowed) in [
            ("https://api.example.com/v1/chat/completions", true),
            ("https://api.example.com:8443/v1", false),
            ("http://api.example.com/v1", false),
            ("https://api.example.com.evil.test/v1", false),
        ] {
            assert_eq!(endpoint.check(&Url::parse(url).unwrap()).is_ok(), allowed, "{url}");
        }
    }
}
