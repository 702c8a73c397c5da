package billing

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/problem"
	"refill/models"
)

// EmbedLife is the longest a link to an embedded page holds, in wall time.
const EmbedLife = 10 * time.Minute

const maxOrigins = 20

// The parts of the portal that can stand on other pages.
const (
	EmbedChip    = "chip" // the balance in one line
	EmbedBalance = "balance"
	EmbedBuy     = "buy" // with what is on sale
	EmbedUsage   = "usage"
)

// EmbedViews are all of them.
func EmbedViews() []string { return []string{EmbedChip, EmbedBalance, EmbedBuy, EmbedUsage} }

// Embed is what an agency allows of embedding.
type Embed struct {
	Origins []string // where pages may stand
	Ready   bool     // there is a secret to sign links with
}

func embedRow(db *gorm.DB, agency models.AgencyID) (models.Embed, Embed, error) {
	var rows []models.Embed
	if err := db.Where("agency_id = ?", agency).Find(&rows).Error; err != nil || len(rows) == 0 {
		return models.Embed{}, Embed{}, err
	}
	out := Embed{Ready: true}
	return rows[0], out, json.Unmarshal([]byte(rows[0].Origins), &out.Origins)
}

// Embed reads what an agency allows of embedding.
func (s *Service) Embed(ctx context.Context, agency models.AgencyID) (Embed, error) {
	_, out, err := embedRow(s.db.Read.WithContext(ctx), agency)
	return out, err
}

// SetEmbedOrigins says on whose pages an agency's clients' balances may stand; none
// allows nobody. Errors: not_found, invalid_origin.
func (s *Service) SetEmbedOrigins(ctx context.Context, scope Scope, id models.AgencyID, origins []string, by Actor) error {
	kept := []string{}
	for _, o := range origins {
		origin, err := cleanOrigin(o)
		if err != nil {
			return err
		}
		if !slices.Contains(kept, origin) {
			kept = append(kept, origin)
		}
	}
	if len(kept) > maxOrigins {
		return problem.New(problem.Invalid, "invalid_origin", "At most %d origins can be named.", maxOrigins).On("origins")
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return s.keepEmbed(ctx, scope, id, by, "embed.origins", strings.Join(kept, " "), func(e *models.Embed) { e.Origins = string(text) })
}

// cleanOrigin is an origin as browsers say it. Plain http is for one's own machine.
func cleanOrigin(s string) (string, error) {
	u, err := url.Parse(strings.ToLower(strings.TrimSpace(s)))
	wrong := err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || len(s) > 253
	if !wrong {
		ip, notIP := netip.ParseAddr(u.Hostname())
		local := u.Hostname() == "localhost" || notIP == nil && ip.IsLoopback()
		wrong = u.Scheme != "https" && (u.Scheme != "http" || !local) || notIP != nil && u.Hostname() != "localhost" && !domainShape.MatchString(u.Hostname())
		if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
			wrong = true
		}
	}
	if wrong {
		return "", problem.New(problem.Invalid, "invalid_origin", "Write each origin as https://app.example.com, without a path.").On("origins")
	}
	return u.Scheme + "://" + u.Host, nil
}

// NewEmbedSecret makes an agency's signing secret anew and gives it: it is shown
// this once, and links signed with the one before are worth nothing from now on.
// Errors: not_found.
func (s *Service) NewEmbedSecret(ctx context.Context, scope Scope, id models.AgencyID, by Actor) (string, error) {
	secret := newEmbedKey()
	return hex.EncodeToString(secret), s.keepEmbed(ctx, scope, id, by, "embed.secret", "", func(e *models.Embed) { e.Secret = secret })
}

func newEmbedKey() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: the runtime aborts without randomness
	return b
}

func (s *Service) keepEmbed(ctx context.Context, scope Scope, id models.AgencyID, by Actor, action, detail string, change func(*models.Embed)) error {
	return s.changeBrand(ctx, scope, id, func(tx *gorm.DB, _ *models.Agency) error {
		row, was, err := embedRow(tx, id)
		if err != nil {
			return err
		}
		if !was.Ready {
			row = models.Embed{AgencyID: id, Secret: newEmbedKey(), Origins: "[]"}
		}
		change(&row)
		row.UpdatedAt = s.clock.Now()
		if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
			return err
		}
		return s.audit(tx, id, by, action, id.String(), detail, "", row.UpdatedAt)
	})
}

// EmbedLink is an address that shows one client's balance on another page until it
// ends. Errors: not_found, embed_not_set_up, invalid_view, invalid_ttl,
// sub_account_archived.
func (s *Service) EmbedLink(ctx context.Context, agency *models.Agency, sub *models.SubAccount, view string, life time.Duration) (string, models.Time, error) {
	if !slices.Contains(EmbedViews(), view) {
		return "", 0, problem.New(problem.Invalid, "invalid_view", "The views are %s.", strings.Join(EmbedViews(), ", ")).On("view")
	}
	if life < time.Second || life > EmbedLife {
		return "", 0, problem.New(problem.Invalid, "invalid_ttl", "A link holds between 1 and %d seconds.", int(EmbedLife/time.Second)).On("ttl_seconds")
	}
	if sub.Status != models.SubAccountActive {
		return "", 0, archived(sub)
	}
	row, allowed, err := embedRow(s.db.Read.WithContext(ctx), agency.ID)
	if err != nil {
		return "", 0, err
	}
	if !allowed.Ready || len(allowed.Origins) == 0 {
		return "", 0, problem.New(problem.Conflict, "embed_not_set_up", "Say first on which pages it may stand, under Settings → Embed.")
	}
	until := s.people.wall.Now().Add(life)
	end := strconv.FormatInt(int64(until)/1_000_000, 10)
	q := url.Values{"account": {sub.ID.String()}, "until": {end}, "signature": {embedSignature(row.Secret, view, sub.ID.String(), end)}}
	return s.PortalURL(agency) + "/embed/" + view + "?" + q.Encode(), until, nil
}

// embedSignature is HMAC-SHA256 over "view\naccount\nuntil", in hex.
func embedSignature(secret []byte, view, account, until string) string {
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte(view + "\n" + account + "\n" + until))
	return hex.EncodeToString(mac.Sum(nil))
}

// OpenEmbed is the account that a signed link shows. Errors: not_found,
// embed_link_ended.
func (s *Service) OpenEmbed(ctx context.Context, agency *models.Agency, view, account, until, signature string) (*Account, error) {
	row, allowed, err := embedRow(s.db.Read.WithContext(ctx), agency.ID)
	if err != nil {
		return nil, err
	}
	ended := problem.New(problem.Forbidden, "embed_link_ended", "This link has ended.")
	end, badEnd := strconv.ParseInt(until, 10, 64)
	if !allowed.Ready || badEnd != nil || !hmac.Equal([]byte(signature), []byte(embedSignature(row.Secret, view, account, until))) {
		return nil, ended
	}
	wall := int64(s.people.wall.Now()) / 1_000_000
	if end <= wall || end > wall+int64(EmbedLife/time.Second)+60 { // who signs by their own clock may be a minute ahead
		return nil, ended
	}
	id, err := models.ParseID[models.SubAccountID](account)
	if err != nil {
		return nil, ended
	}
	var sub models.SubAccount
	if err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND id = ? AND status = ?", agency.ID, id, models.SubAccountActive).Take(&sub).Error; err != nil {
		return nil, missing(err, "account")
	}
	return &Account{Agency: *agency, SubAccount: &sub, Wallet: sub.WalletID, Zone: Zone(sub.TimeZone)}, nil
}
