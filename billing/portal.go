package billing

import (
	"fmt"
	"net/netip"
	"net/url"

	"refill/models"
)

// PortalDomain is what the clients' portals stand under: {agency}.PortalDomain.
func (s *Service) PortalDomain() string { return s.portalDomain }

// PortalURL is the address of an agency's portal, without a final slash: under its
// own domain once it is proved and used.
func (s *Service) PortalURL(agency *models.Agency) string {
	u := s.base
	if u.Host = agency.Domain; u.Host == "" {
		u.Host = agency.Host + "." + s.portalDomain
	}
	if port := s.base.Port(); port != "" {
		u.Host += ":" + port
	}
	return u.String()
}

// portalsUnder reads where the portal itself stands, and what the clients' stand
// under when nobody said: names under localhost lead to this machine without
// anybody's DNS.
func portalsUnder(baseURL, domain string) (url.URL, string, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		return url.URL{}, "", fmt.Errorf("base URL %q: %w", baseURL, err)
	}
	if domain == "" {
		domain = base.Hostname()
		if ip, err := netip.ParseAddr(domain); err == nil && ip.IsLoopback() {
			domain = "localhost"
		}
	}
	return url.URL{Scheme: base.Scheme, Host: base.Host}, domain, nil
}
