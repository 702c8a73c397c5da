package checkout

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"refill/models"
)

// signatureWindow is how far a signature's time may lie from now, either way.
const signatureWindow = 300 * time.Second

// maxPayload bounds an event's body, in bytes.
const maxPayload = 1 << 20

// Event is a hint that an object at Stripe changed. Its content proves nothing
// about the object's state now: ask Stripe.
type Event struct {
	ID            string
	Type          string
	Account       string // the connected account it came from; "" is the platform
	ObjectType    string // checkout.session, payment_intent, charge, refund …
	ObjectID      string
	PaymentIntent string // the payment that the object is, or belongs to; may be empty
	Invoice       string // the invoice that a payment pays; "" for other payments
	Subscription  string // the subscription that the object is, or belongs to; may be empty
	// Reference is ours as far as the object carries it. The owner of a connected
	// account can write any: hold it against the account before believing it.
	Reference  string
	Live       bool
	APIVersion string
	// VersionMatches is false when the endpoint was made with another version
	// of the API than this package speaks: the operator has to know.
	VersionMatches bool
	CreatedAt      models.Time
	Raw            []byte
}

// ParseEvent checks the signature of a webhook's body, exactly as it came,
// against the secrets of the platform's endpoint or of the Connect endpoint,
// and reads its envelope. An event of another API version is read too.
func (g *Gateway) ParseEvent(payload []byte, signature string, connect bool) (Event, error) {
	secrets := g.secrets
	if connect {
		secrets = g.connectSecrets
	}
	if err := g.verify(payload, signature, secrets); err != nil {
		return Event{}, &Error{Kind: KindSignature, Message: "The event is not signed by the payment provider.", Detail: err.Error(), Err: err}
	}
	return readEvent(payload)
}

// readEvent reads an event's envelope.
func readEvent(payload []byte) (Event, error) {
	var e struct {
		ID         string `json:"id"`
		Type       string `json:"type"`
		Account    string `json:"account"`
		APIVersion string `json:"api_version"`
		Created    int64  `json:"created"`
		Livemode   bool   `json:"livemode"`
		Data       struct {
			Object struct {
				ID                string            `json:"id"`
				Object            string            `json:"object"`
				ClientReferenceID string            `json:"client_reference_id"`
				Metadata          map[string]string `json:"metadata"`
				PaymentIntent     idOrObject        `json:"payment_intent"`
				Invoice           idOrObject        `json:"invoice"`
				Subscription      idOrObject        `json:"subscription"`
				Details           struct {
					Metadata map[string]string `json:"metadata"`
				} `json:"subscription_details"`
			} `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return Event{}, &Error{Kind: KindRefused, Message: "The event cannot be read.", Detail: err.Error(), Err: err}
	}
	if e.ID == "" || e.Type == "" {
		return Event{}, &Error{Kind: KindRefused, Message: "The event cannot be read.", Detail: "it has no id or no type"}
	}
	out := Event{
		ID: e.ID, Type: e.Type, Account: e.Account, ObjectType: e.Data.Object.Object, ObjectID: e.Data.Object.ID,
		PaymentIntent: string(e.Data.Object.PaymentIntent), Reference: e.Data.Object.ClientReferenceID, Live: e.Livemode,
		APIVersion: e.APIVersion, VersionMatches: e.APIVersion == APIVersion, CreatedAt: fromSeconds(e.Created), Raw: payload,
	}
	if out.ObjectType == "payment_intent" {
		out.PaymentIntent = out.ObjectID
	}
	if out.Reference == "" {
		out.Reference = e.Data.Object.Metadata[referenceKey]
	}
	if out.Reference == "" {
		out.Reference = e.Data.Object.Details.Metadata[referenceKey]
	}
	if out.ObjectType != "checkout.session" && out.ObjectType != "invoice" {
		out.Invoice = string(e.Data.Object.Invoice)
	}
	out.Subscription = string(e.Data.Object.Subscription)
	if out.ObjectType == "subscription" {
		out.Subscription = out.ObjectID
	}
	return out, nil
}

// verify holds the signature against each secret. The library's own check of
// the time looks only backwards. None is empty, which the library would take: New sees
// to that.
func (g *Gateway) verify(payload []byte, signature string, secrets []string) error {
	if len(payload) > maxPayload {
		return errors.New("the body is larger than 1 MiB")
	}
	if len(secrets) == 0 {
		return errors.New("no secret is configured for this endpoint")
	}
	at, err := signedAt(signature)
	if err != nil {
		return err
	}
	if age := g.now().Sub(at); age > signatureWindow || age < -signatureWindow {
		return errors.New("the signature is more than five minutes away from now")
	}
	err = webhook.ErrNoValidSignature
	for _, secret := range secrets {
		if err = webhook.ValidatePayloadIgnoringTolerance(payload, signature, secret); err == nil {
			return nil
		}
	}
	return err
}

// signedAt is the one time in a signature header. Two would leave open which
// of them was signed.
func signedAt(header string) (time.Time, error) {
	var stamp string
	for part := range strings.SplitSeq(header, ",") {
		if v, ok := strings.CutPrefix(part, "t="); ok {
			if stamp != "" {
				return time.Time{}, errors.New("the signature has two times")
			}
			stamp = v
		}
	}
	if stamp == "" {
		return time.Time{}, webhook.ErrNotSigned
	}
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return time.Time{}, webhook.ErrInvalidHeader
	}
	return time.Unix(n, 0), nil
}

// idOrObject is the id of a field that holds an id or the whole object.
type idOrObject string

// UnmarshalJSON takes a string, an object with an id, or null.
func (i *idOrObject) UnmarshalJSON(b []byte) error {
	var id string
	if json.Unmarshal(b, &id) == nil {
		*i = idOrObject(id)
		return nil
	}
	var o struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	*i = idOrObject(o.ID)
	return nil
}
