package hook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// MaxURL is the longest address of an endpoint, in bytes.
const MaxURL = 500

// ErrForbidden is an address that nothing is sent to.
var ErrForbidden = errors.New("this address is not public")

// CheckURL says in words what is wrong with an endpoint's address; nil is none.
// Where its name leads is only seen when something is sent.
func (s *Sender) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > MaxURL || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		return fmt.Errorf("give an address like https://example.com/webhooks, of at most %d characters", MaxURL)
	}
	local := s.loopback && isLoopback(u.Hostname())
	switch {
	case u.Scheme == "http" && !local:
		return errors.New("the address must begin with https://, or anybody on the way could read along")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the address must begin with https://")
	case u.User != nil:
		return errors.New("leave name and password out of the address: the signature proves who sends")
	case u.Fragment != "" || strings.ContainsAny(raw, "#\\ \t\r\n"):
		return errors.New("the address must have no blanks and no # in it")
	case !local && u.Port() != "" && u.Port() != "443" && u.Port() != "8443":
		return errors.New("an endpoint listens on port 443 or 8443")
	}
	if local {
		return nil
	}
	if address, err := netip.ParseAddr(strings.Trim(u.Hostname(), "[]")); err == nil {
		if !public(address) {
			return errors.New("this address leads into a private network; give one that is reachable from the internet")
		}
	} else if name := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); name == "localhost" || strings.HasSuffix(name, ".localhost") || !strings.Contains(name, ".") {
		return errors.New("this name leads into a private network; give one that is reachable from the internet")
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// control looks at the address a connection is about to be made to, after every
// name was resolved.
func (s *Sender) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrForbidden, address)
	}
	if public(at.Addr()) && (at.Port() == 443 || at.Port() == 8443) || s.loopback && at.Addr().Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrForbidden, at)
}

// public tells the addresses of the open internet from those that lead into our
// own house or its neighbourhood, however they are written.
func public(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range notPublic() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// notPublic are the blocks beside the private ones that are set aside, IANA's
// special-purpose registries, and two addresses of clouds that answer with
// credentials.
func notPublic() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),        // this network
		netip.MustParsePrefix("100.64.0.0/10"),    // carriers' NAT, and the metadata of a cloud
		netip.MustParsePrefix("168.63.129.16/32"), // the host of a cloud's machines
		netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments, and metadata of another
		netip.MustParsePrefix("192.0.2.0/24"),     // documentation
		netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
		netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
		netip.MustParsePrefix("198.51.100.0/24"),  // documentation
		netip.MustParsePrefix("203.0.113.0/24"),   // documentation
		netip.MustParsePrefix("240.0.0.0/4"),      // reserved
		netip.MustParsePrefix("::/96"),            // IPv4 in disguise
		netip.MustParsePrefix("::ffff:0:0:0/96"),  // IPv4, translated
		netip.MustParsePrefix("64:ff9b::/96"),     // IPv4 behind NAT64
		netip.MustParsePrefix("64:ff9b:1::/48"),   // the same, local
		netip.MustParsePrefix("100::/64"),         // discard
		netip.MustParsePrefix("2001::/23"),        // Teredo and other assignments
		netip.MustParsePrefix("2001:db8::/32"),    // documentation
		netip.MustParsePrefix("2002::/16"),        // 6to4: IPv4 in disguise
		netip.MustParsePrefix("3fff::/20"),        // documentation
		netip.MustParsePrefix("5f00::/16"),        // segment routing
		netip.MustParsePrefix("fc00::/7"),         // unique local
		netip.MustParsePrefix("fec0::/10"),        // site local
	}
}
