package models

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// checkTransport refuses to speak with a server on another machine whose
// certificate nobody looks at: who is on the way could read along, and answer in its
// place. A connection that falls back to such a one is one.
func checkTransport(c *pgconn.Config) error {
	ways := []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}
	for _, way := range append(ways, c.Fallbacks...) {
		if !onThisMachine(way.Host, way.Port) && !looksAtCertificate(way.TLSConfig) {
			return fmt.Errorf("PostgreSQL on %s would be spoken to without looking at its certificate, so whoever is on the way could read and change what goes over: "+
				"write sslmode=verify-full into DATABASE_URL (and sslrootcert=… for an authority of your own), "+
				"or set REFILL_TRUST_DATABASE_NETWORK=true where nobody else is on the network between", way.Host)
		}
	}
	return nil
}

func onThisMachine(host string, port uint16) bool {
	if network, _ := pgconn.NetworkAddress(host, port); network == "unix" {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

// looksAtCertificate tells sslmode=verify-ca and verify-full, with TLS, from less.
// With verify-ca pgx checks the chain in a function of its own.
func looksAtCertificate(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil)
}
