package billing

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/nametest"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// A name is an agency's once its TXT record says so, daily again, and until the
// record has been gone for three days.
func TestADomainIsProvedAndLapses(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		names := nametest.New(t)
		p.s.resolver = names.Resolver()
		ctx, id, scope := t.Context(), p.agency.ID, Scope{Agency: p.agency.ID}
		owner := p.person("olive@northwind.test", "")
		require.NoError(t, p.s.AddMember(ctx, MemberInput{Agency: id, User: owner.ID, Role: models.RoleOwner, By: "t"}))
		const name = "credits.orbit.example"
		d, err := p.s.ClaimDomain(ctx, scope, id, " Credits.Orbit.example. ", "user:olive")
		require.NoError(t, err)
		require.Equal(t, name, d.Name)
		record, value := DomainRecord(&d)
		require.Equal(t, []string{"_portal." + name, "portal-verify=" + d.Token}, []string{record, value}, "it names nobody's product")

		check := func(code string) {
			t.Helper()
			err := p.s.CheckDomain(ctx, scope, id, name, "user:olive")
			if code == "" {
				require.NoError(t, err)
			} else {
				require.True(t, problem.Is(err, code), "%v", err)
			}
		}
		serves := func() bool {
			t.Helper()
			a, err := p.s.AgencyByDomain(ctx, name)
			require.True(t, err == nil && a.ID == id || problem.Is(err, "not_found"), "%v", err)
			return err == nil
		}
		check("domain_unproved")
		names.Set(record, "portal-verify=something-else", "refill-verify="+d.Token, "v=spf1 -all")
		check("domain_unproved")
		names.Fail(true)
		check("domain_unproved")
		names.Fail(false)
		require.True(t, problem.Is(p.s.UseDomain(ctx, scope, id, name, true, "t"), "domain_unproved"))
		require.False(t, serves())
		names.Set(record, "v=spf1 -all", value)
		check("")
		require.True(t, serves())
		require.Equal(t, "https://"+p.agency.Host+".credits.test", p.s.PortalURL(p.agencyNow()), "serving is one step, leading there another")
		allowed := func() models.Time {
			t.Helper()
			claims, err := p.s.Domains(ctx, id)
			require.NoError(t, err)
			require.Len(t, claims, 1)
			return claims[0].CertificateAt
		}
		require.Zero(t, allowed())
		require.NoError(t, p.s.NoteCertificate(ctx, id, name))
		first := allowed()
		require.Equal(t, p.s.Now(), first)
		p.now.Add((59 * time.Minute).Microseconds())
		require.NoError(t, p.s.NoteCertificate(ctx, id, name))
		require.Equal(t, first, allowed(), "asking again and again writes nothing")
		p.now.Add(time.Minute.Microseconds())
		require.NoError(t, p.s.NoteCertificate(ctx, id, name))
		require.Equal(t, p.s.Now(), allowed())
		require.NoError(t, p.s.UseDomain(ctx, scope, id, name, true, "t"))
		require.Equal(t, "https://"+name, p.s.PortalURL(p.agencyNow()))

		// Mails may come from there now.
		require.NoError(t, p.s.SaveBrandDraft(ctx, scope, BrandInput{Agency: id, SenderAddress: "hello@" + name}))
		require.NoError(t, p.s.PublishBrand(ctx, scope, id, "t"))

		asked := names.Asked()
		require.NoError(t, p.s.CheckDomains(ctx))
		require.Equal(t, asked, names.Asked(), "not due yet")
		p.now.Add((25 * time.Hour).Microseconds())
		require.NoError(t, p.s.CheckDomains(ctx))
		require.Greater(t, names.Asked(), asked)

		// A record from before goes on proving the name.
		names.Set(record)
		names.Set("_refill."+name, "refill-verify="+d.Token)
		p.now.Add((25 * time.Hour).Microseconds())
		require.NoError(t, p.s.CheckDomains(ctx))
		require.NoError(t, p.s.SendMails(ctx))
		require.Empty(t, p.tray.to("olive@northwind.test"))

		names.Set("_refill." + name)
		p.now.Add((25 * time.Hour).Microseconds())
		require.NoError(t, p.s.CheckDomains(ctx))
		require.True(t, serves(), "for a while")
		require.NoError(t, p.s.SendMails(ctx))
		require.Equal(t, []string{"The record of " + name + " cannot be found"}, p.tray.to("olive@northwind.test"))
		p.now.Add((71 * time.Hour).Microseconds())
		names.Set(record, value)
		require.NoError(t, p.s.CheckDomains(ctx))
		names.Set(record)
		p.now.Add((25 * time.Hour).Microseconds())
		require.NoError(t, p.s.CheckDomains(ctx))
		require.True(t, serves(), "back for one day: the three days begin anew")
		p.now.Add((72 * time.Hour).Microseconds())
		require.NoError(t, p.s.CheckDomains(ctx))
		require.False(t, serves())
		require.Equal(t, "https://"+p.agency.Host+".credits.test", p.s.PortalURL(p.agencyNow()))
		require.Zero(t, allowed(), "proved again it begins anew")
		require.NoError(t, p.s.RequestSignInLink(ctx, "olive@northwind.test", models.AgencyID{}, "10.0.0.1"))
		require.NoError(t, p.s.SendMails(ctx))
		require.Contains(t, p.tray.to("olive@northwind.test"), name+" stopped working")

		require.NoError(t, p.s.RemoveDomain(ctx, scope, id, name, "t"))
		require.True(t, problem.Is(p.s.RemoveDomain(ctx, scope, id, name, "t"), "not_found"))
	})
}

// Whoever proves a name has it: a claim alone keeps nobody out, and a proved name
// is nobody else's.
func TestADomainHasOneOwner(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	names := nametest.New(t)
	p.s.resolver = names.Resolver()
	ctx := t.Context()
	other, err := p.s.CreateAgency(ctx, AgencyInput{ExternalID: "other", Name: "Other", By: "t"})
	require.NoError(t, err)
	squat, err := p.s.ClaimDomain(ctx, Scope{}, other.ID, "credits.orbit.example", "t")
	require.NoError(t, err)
	ours, err := p.s.ClaimDomain(ctx, Scope{}, p.agency.ID, "credits.orbit.example", "t")
	require.NoError(t, err)
	require.NotEqual(t, squat.Token, ours.Token)
	record, value := DomainRecord(&ours)
	_, theirs := DomainRecord(&squat)
	names.Set(record, value)
	require.True(t, problem.Is(p.s.CheckDomain(ctx, Scope{}, other.ID, ours.Name, "t"), "domain_unproved"))
	require.NoError(t, p.s.CheckDomain(ctx, Scope{}, p.agency.ID, ours.Name, "t"))
	names.Set(record, value, theirs)
	require.True(t, problem.Is(p.s.CheckDomain(ctx, Scope{}, other.ID, ours.Name, "t"), "domain_taken"))
	require.True(t, problem.Is(p.s.UseDomain(ctx, Scope{}, other.ID, ours.Name, true, "t"), "domain_unproved"))
	third, err := p.s.CreateAgency(ctx, AgencyInput{ExternalID: "third", Name: "Third", By: "t"})
	require.NoError(t, err)
	_, err = p.s.ClaimDomain(ctx, Scope{}, third.ID, ours.Name, "t")
	require.True(t, problem.Is(err, "domain_taken"))
	require.NoError(t, p.s.RemoveDomain(ctx, Scope{}, p.agency.ID, ours.Name, "t"))
	require.NoError(t, p.s.CheckDomain(ctx, Scope{}, other.ID, ours.Name, "t"), "given up, it is free")

	for name, code := range map[string]string{
		"credits.test": "domain_reserved", "northwind.credits.test": "domain_reserved", "TEST": "invalid_domain", "10.0.0.1": "invalid_domain", "::1": "invalid_domain",
		"https://x.example": "invalid_domain", "x.example/y": "invalid_domain", "x..example": "invalid_domain", "-x.example": "invalid_domain", "bücher.example": "invalid_domain",
		"x_y.example": "invalid_domain", "x.example:443": "invalid_domain", strings.Repeat("a.", 130) + "example": "invalid_domain", "": "invalid_domain", "localhost": "invalid_domain",
	} {
		_, err := p.s.ClaimDomain(ctx, Scope{}, third.ID, name, "t")
		require.True(t, problem.Is(err, code), "%q: %v", name, err)
	}
	for i := range maxDomains {
		_, err := p.s.ClaimDomain(ctx, Scope{}, third.ID, string(rune('a'+i))+".example", "t")
		require.NoError(t, err)
	}
	_, err = p.s.ClaimDomain(ctx, Scope{}, third.ID, "z.example", "t")
	require.True(t, problem.Is(err, "too_many_domains"))
	_, err = p.s.ClaimDomain(ctx, Scope{Agency: other.ID}, third.ID, "a.example", "t")
	require.True(t, problem.Is(err, "not_found"))
}
