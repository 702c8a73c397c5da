package handlers_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/handlers"
	"refill/models"
	"refill/models/modelstest"
	"refill/views"
)

// access is who finds what behind every route of the portal. The first columns
// ask for what is Northwind's, or its client Acme's; those after the bar for what
// is another agency's, another client's, or nothing at all. A neighbour is a
// client of Northwind beside Acme, a stranger owns another agency.
//
//	200, 404  the status
//	303       done, or leads on
//	in        leads to the sign-in
//	none      the page as it is for a name that nothing has: a filter without
//	          lines, or no word of it
//
// Words in braces are things of the test, {acme} and {acme-…} the client's; what
// stands after a question mark is the form of a POST.
const access = `
                                                                      nobody owner billing member client admin neighbour stranger | owner billing member client admin
GET  /healthz                                                         200    200   200     200    200    200   200       200
GET  /readyz                                                          200    200   200     200    200    200   200       200
GET  /internal/tls                                                    404    404   404     404    404    404   404       404
GET  /static/{file}                                                   200    200   200     200    200    200   200       200      | 404   404     404    404    404

GET  /embed/{embedded}                                                404    404   404     404    403    404   403       404      | 404   404     404    404    404
GET  /brand/{sheet}                                                   200    200   200     200    200    200   200       200      | 404   404     404    404    404
GET  /brand/logo/{logo}                                               404    200   200     200    200    404   200       404      | 404   404     404    404    404

GET  /setup                                                           in     403   403     403    404    303   404       403
POST /setup                                                           409    409   409     409    404    409   404       409
GET  /setup/address                                                   in     403   403     403    403    200   403       403
POST /setup/address                                                   in     403   403     403    403    422   403       403
GET  /setup/database                                                  in     403   403     403    403    200   403       403
POST /setup/database                                                  in     403   403     403    403    303   403       403
GET  /setup/stripe                                                    in     403   403     403    403    200   403       403
POST /setup/stripe                                                    in     403   403     403    403    303   403       403
GET  /setup/catalogue                                                 in     403   403     403    403    200   403       403
POST /setup/catalogue                                                 in     403   403     403    403    422   403       403
GET  /setup/done                                                      in     403   403     403    403    200   403       403
POST /setup/done                                                      in     403   403     403    403    303   403       403

GET  /sign-in                                                         200    303   303     303    303    303   303       303
POST /sign-in                                                         422    422   422     422    422    422   422       422
POST /sign-in/link                                                    422    422   422     422    422    422   422       422
GET  /sign-in/sent                                                    200    200   200     200    200    200   200       200
GET  /sign-in/code                                                    in     in    in      in     in     in    in        in
POST /sign-in/code                                                    303    303   303     303    303    303   303       303
GET  /forgotten                                                       200    200   200     200    200    200   200       200
POST /forgotten                                                       422    422   422     422    422    422   422       422
GET  /forgotten/sent                                                  200    200   200     200    200    200   200       200
GET  /forgotten/{reset}                                               200    200   200     200    410    200   410       200      | 410   410     410    410    410
POST /forgotten/{reset}                                               422    422   422     422    410    422   410       422      | 410   410     410    410    410
GET  /confirm-email/{confirm}                                         200    200   200     200    410    200   410       200      | 410   410     410    410    410
POST /confirm-email/{confirm}                                         303    303   303     303    410    303   410       303      | 410   410     410    410    410
GET  /sign-in/{link}                                                  200    200   200     200    410    200   410       200      | 410   410     410    410    410
POST /sign-in/{link}                                                  303    303   303     303    410    303   410       303      | 410   410     410    410    410
POST /sign-out                                                        303    303   303     303    303    303   303       303
POST /theme                                                           303    303   303     303    303    303   303       303
GET  /invitations/{letter}                                            200    200   200     200    410    200   410       200      | 410   410     410    410    410
POST /invitations/{letter}                                            422    422   422     422    410    422   410       422      | 410   410     410    410    410
POST /invitations/{letter}/link                                       404    404   404     404    410    404   410       404      | 410   410     410    410    410

GET  /                                                                in     200   200     200    200    303   200       200
GET  /usage                                                           in     200   200     200    200    403   200       200
GET  /usage?sub={code}                                                in     200   200     200    none   403   none      404      | 404   404     404    none   403
GET  /usage.csv                                                       in     200   200     200    200    403   200       200
GET  /usage.csv?sub={code}                                            in     200   200     200    200    403   none      404      | 404   404     404    none   403
GET  /history                                                         in     200   200     200    200    403   200       200
GET  /history?sub={code}                                              in     200   200     200    none   403   none      none     | none  none    none   none   403
GET  /history.csv                                                     in     200   200     200    200    403   200       200
GET  /history.csv?sub={code}                                          in     200   200     200    none   403   none      none     | none  none    none   none   403
GET  /history/group?ref={group}                                       in     200   200     200    404    403   404       404      | 404   404     404    404    403
GET  /history/group?ref={acme-group}                                  in     404   404     404    200    403   404       404      | 404   404     404    404    403
GET  /history/{charge}                                                in     200   200     200    404    403   404       404      | 404   404     404    404    403
GET  /history/{acme-charge}                                           in     200   200     200    200    403   404       404      | 404   404     404    404    403
GET  /history/{acme-act}                                              in     200   200     200    200    403   404       404      | 404   404     404    404    403
POST /history/{acme-act}/undo                                         in     303   303     403    403    403   403       404          | 404   404     403    403    403
GET  /statement                                                       in     200   200     200    200    403   200       200
GET  /statement.csv                                                   in     200   200     200    200    403   200       200
GET  /statement.pdf                                                   in     200   200     200    200    403   200       200
GET  /buy                                                             in     200   200     200    200    403   200       200
GET  /buy?pack={offer}                                                in     none  none    none   200    403   200       none     | none  none    none   none   403
GET  /buy?cancelled={open}                                            in     303   303     none   404    403   404       404      | 404   404     none   404    403
GET  /buy?cancelled={acme-open}                                       in     404   404     none   303    403   404       404      | 404   404     none   404    403
POST /buy                                                             in     422   422     403    422    403   422       422
POST /buy?pack={offer}                                                in     422   422     403    303    403   303       422      | 422   422     403    422    403
GET  /calculator                                                      in     200   200     200    200    403   200       200
POST /calculator/quotes                                               in     422   422     403    403    403   403       422
GET  /quotes                                                          in     200   200     200    403    403   403       200
GET  /quotes.csv                                                      in     200   200     200    403    403   403       200
POST /quotes/{quote}/end                                              in     303   303     403    403    403   403       404          | 404   404     403    403    403
GET  /q/{quote-link}                                                  404    404   404     404    200    404   200       404          | 404   404     404    404    404
GET  /buy/return?s={session}                                          in     200   200     200    404    403   404       404      | 404   404     404    404    403
GET  /buy/return?s={acme-session}                                     in     404   404     404    200    403   404       404      | 404   404     404    404    403
GET  /buy/monthly/{month}                                             in     404     404     403     200     403     404     404      | 404   404   403   404   403
POST /buy/monthly/{month}                                             in     404     404     403     303     403     404     404      | 404   404   403   404   403
POST /buy/monthly/{month}/card                                        in     404     404     403     303     403     404     404      | 404   404   403   404   403
GET  /buy/automatic                                                   in     200     200     200     200     403     200     200
POST /buy/automatic                                                   in     422     422     403     422     403     422     422
GET  /buy/automatic/card?s=cs_none                                    in     404     404     403     404     403     404     404
GET  /buy/automatic/confirm                                           in     422     422     403     422     403     422     422
POST /buy/automatic/confirm                                           in     422     422     403     422     403     422     422
POST /buy/automatic/off                                               in     303     303     403     303     403     303     303
POST /buy/automatic/retry                                             in     303     303     403     303     403     303     303
POST /buy/automatic/pay                                               in     303     303     403     303     403     303     303
POST /buy/automatic/clients?allow=yes                                 in     303     303     403     403     403     403     303
GET  /purchases                                                       in     200   200     200    200    403   200       200
GET  /purchases.csv                                                   in     200   200     200    200    403   200       200
GET  /purchases/{purchase}/receipt                                    in     200   200     200    404    403   404       404      | 404   404     404    404    403
GET  /purchases/{purchase}/receipt.pdf                                in     200   200     200    404    403   404       404      | 404   404     404    404    403
GET  /purchases/{purchase}/credit-notes/{note}/note.pdf               in     200   200     200    404    403   404       404      | 404   404     404    404    403
GET  /purchases/{purchase}/credit-notes/{note}                        in     200   200     200    404    403   404       404      | 404   404     404    404    403
GET  /purchases/{acme-purchase}/receipt                               in     404   404     404    200    403   404       404      | 404   404     404    404    403
GET  /purchases/{acme-purchase}/receipt.pdf                           in     404   404     404    200    403   404       404      | 404   404     404    404    403
GET  /purchases/{acme-purchase}/credit-notes/{note}/note.pdf          in     404   404     404    200    403   404       404      | 404   404     404    404    403
GET  /purchases/{acme-purchase}/credit-notes/{note}                   in     404   404     404    200    403   404       404      | 404   404     404    404    403

GET  /gift                                                            in     200   200     403    403    403   403       200
POST /gift                                                            in     422   422     403    403    403   403       422
GET  /referral                                                        in     200   200     200    403    403   403       200
GET  /r/{referral}                                                    200    200   200     200    404    200   404       200       | 404   404     404    404    404
GET  /plan                                                            in     200   200     200    403    403   403       200
GET  /plan/choose                                                     in     200   200     200    403    403   403       200
GET  /plan/change?plan=pro                                            in     303   303     403    403    403   403       303
POST /plan/change?plan=pro                                            in     303   303     403    403    403   403       303
GET  /plan/return?s=cs_none                                           in     404   404     403    403    403   403       404
GET  /plan/cancel                                                     in     200   200     403    403    403   403       200
POST /plan/cancel?do=keep                                             in     303   303     403    403    403   403       303
POST /plan/pay                                                        in     303   303     403    403    403   403       303
POST /plan/portal                                                     in     303   303     403    403    403   403       303

GET  /sub-accounts                                                    in     200   200     200    403    403   403       200
GET  /sub-accounts.csv                                                in     200   200     200    403    403   403       200
GET  /sub-accounts/new                                                in     200   200     403    403    403   403       200
POST /sub-accounts/new                                                in     422   422     403    403    403   403       422
GET  /sub-accounts/archived                                           in     200   200     200    403    403   403       200
GET  /sub-accounts/archived.csv                                       in     200   200     200    403    403   403       200
GET  /sub-accounts/{acme}                                             in     200   200     200    403    403   403       404      | 404   404     404    403    403
GET  /sub-accounts/{away}/archive                                     in     200   200     403    403    403   403       404      | 404   404     403    403    403
POST /sub-accounts/{away}/archive                                     in     303   303     403    403    403   403       404      | 404   404     403    403    403
POST /sub-accounts/{away}/restore                                     in     303   303     403    403    403   403       404      | 404   404     403    403    403
GET  /sub-accounts/{acme}/people                                      in     200   200     200    403    403   403       404      | 404   404     404    403    403
GET  /sub-accounts/{acme}/people.csv                                  in     200   200     200    403    403   403       404      | 404   404     404    403    403
POST /sub-accounts/{acme}/people                                      in     422   422     403    403    403   403       404      | 404   404     403    403    403
POST /sub-accounts/{acme}/people/invitations/{acme-invited}?do=revoke in     303   303     403    403    403   403       404      | 404   404     403    403    403
GET  /sub-accounts/{acme}/people/{acme-person}                        in     200   200     403    403    403   403       404      | 404   404     403    403    403
POST /sub-accounts/{acme}/people/{acme-leaver}/remove                 in     303   303     403    403    403   403       404      | 404   404     403    403    403
POST /sub-accounts/{acme}/look                                        in     303   303     403    403    403   403       404      | 404   404     403    403    403
POST /look/end                                                        in     303   303     303    303    403   303       303
GET  /sub-accounts/{acme}/edit                                        in     200   200     403    403    403   403       404      | 404   404     403    403    403
POST /sub-accounts/{acme}/edit                                        in     422   422     403    403    403   403       404      | 404   404     403    403    403
GET  /sub-accounts/{acme}/assign                                      in     200   200     403    403    403   403       404      | 404   404     403    403    403
POST /sub-accounts/{acme}/assign                                      in     422   422     403    403    403   403       404      | 404   404     403    403    403
GET  /sub-accounts/{acme}/take-back                                   in     200   200     403    403    403   403       404      | 404   404     403    403    403
POST /sub-accounts/{acme}/take-back                                   in     422   422     403    403    403   403       404      | 404   404     403    403    403
GET  /sub-accounts/bulk                                               in     200   200     403    403    403   403       200
POST /sub-accounts/bulk                                               in     303   303     403    403    403   403       303
GET  /sub-accounts/bulk/{bulk}                                        in     200   200     200    403    403   403       404          | 404   404     404    403    403
GET  /sub-accounts/bulk/{bulk}/clients.csv                            in     200   200     200    403    403   403       404          | 404   404     404    403    403
POST /sub-accounts/bulk/{bulk}/undo                                   in     303   303     403    403    403   403       404          | 404   404     403    403    403
GET  /sub-accounts/{acme}/statement                                   in     200   200     200    403    403   403       404          | 404   404     404    403    403
GET  /sub-accounts/{acme}/statement.csv                               in     200   200     200    403    403   403       404          | 404   404     404    403    403
GET  /sub-accounts/{acme}/statement.pdf                               in     200   200     200    403    403   403       404          | 404   404     404    403    403
GET  /sub-accounts/{acme}/move                                        in     200   200     403    403    403   403       404          | 404   404     403    403    403
POST /sub-accounts/{acme}/move                                        in     422   422     403    403    403   403       404          | 404   404     403    403    403
GET  /sub-accounts/{acme}/monthly                                     in     200   200     403    403    403   403       404          | 404   404     403    403    403
POST /sub-accounts/{acme}/monthly                                     in     422   422     403    403    403   403       404          | 404   404     403    403    403
POST /sub-accounts/{acme}/monthly/stop                                in     303   303     403    403    403   403       404          | 404   404     403    403    403

GET  /sales                                                           in     200   200     200    403    403   403       200
GET  /sales.csv                                                       in     200   200     200    403    403   403       200
GET  /sales/packages.csv                                              in     200   200     200    403    403   403       200
GET  /sales/clients.csv                                               in     200   200     200    403    403   403       200
GET  /sales/monthly/{month}                                           in     200   200     403    403    403   403       404      | 404   404   403   403   403
POST /sales/monthly/{month}                                           in     303   303     403    403    403   403       404      | 404   404   403   403   403
GET  /sales/rule                                                      in     200   200     403    403    403   403       200
POST /sales/rule                                                      in     422   422     403    403    403   403       422
GET  /sales/{sale}/refund                                               in     200   403     403     403    403   403       404      | 404   403   403   403   403
POST /sales/{sale}/refund                                               in     422   403     403     403    403   403       404      | 404   403   403   403   403
POST /checklist/hide                                                  in     303   303     303    403    403   403       303

GET  /packages                                                        in     200   200     200    403    403   403       200
GET  /packages.csv                                                    in     200   200     200    403    403   403       200
GET  /packages/new                                                    in     200   200     403    403    403   403       200
GET  /packages/new?{for-acme}                                         in     200   200     403    403    403   403       none     | none  none    403    403    403
POST /packages/new                                                    in     422   422     403    403    403   403       422
POST /packages/new?{for-acme}                                         in     303   303     403    403    403   403       404      | 404   404     403    403    403
POST /packages/ready-made                                             in     303   303     403    403    403   403       303
GET  /packages/preview                                                in     200   200     200    403    403   403       200
GET  /packages/preview?client={acme}                                  in     200   200     200    403    403   403       404      | 404   404     404    403    403
GET  /packages/{package}                                              in     200   200     200    403    403   403       404      | 404   404     404    403    403
POST /packages/{package}                                              in     422   422     403    403    403   403       404      | 404   404     403    403    403
POST /packages/{package}/sale                                         in     303   303     403    403    403   403       404      | 404   404     403    403    403
POST /packages/{package}/move                                         in     303   303     403    403    403   403       404      | 404   404     403    403    403
POST /packages/{package}/archive                                      in     303   303     403    403    403   403       404      | 404   404     403    403    403
GET  /packages/connect                                                in     200   200     403    403    403   403       200
POST /packages/connect                                                in     303   303     403    403    403   403       303
GET  /packages/connect/return                                         in     200   200     403    403    403   403       200

GET  /settings/team                                                   in     200   200     200    403    403   403       200
GET  /settings/team.csv                                               in     200   200     200    403    403   403       200
POST /settings/team                                                   in     422   403     403    403    403   403       422
POST /settings/team/invitations/{invited}?do=revoke                   in     303   403     403    403    403   403       404      | 404   403     403    403    403
GET  /settings/team/{colleague}                                       in     200   403     403    403    403   403       404      | 404   403     403    403    403
POST /settings/team/{colleague}                                       in     422   403     403    403    403   403       404      | 404   403     403    403    403
POST /settings/team/{leaver}/remove                                   in     303   403     403    403    403   403       404      | 404   403     403    403    403
GET  /settings/people                                                 in     403   403     403    200    403   200       403
GET  /settings/people.csv                                             in     403   403     403    200    403   200       403
POST /settings/people                                                 in     403   403     403    422    403   422       403
POST /settings/people/invitations/{acme-invited}?do=revoke            in     403   403     403    303    403   404       403      | 403   403     403    404    403
GET  /notices                                                         in     200    200    200    200    403    200    200
POST /notices/read                                                    in     404    404    404    404    403    404    404
GET  /notices/off/{off}                                               200    200    200    200    410    200    410    200    | 410   410   410   410   410
POST /notices/off/{off}                                               200    200    200    200    410    200    410    200    | 410   410   410   410   410
GET  /settings/notifications                                          in     200    200    200    200    403    200    200
GET  /settings/notifications?user={mate}                         in     200    404    200    404    403    404    404    | 404   404   404   404   403
POST /settings/notifications                                          in     303    303    303    303    403    303    303
POST /settings/notifications?user={mate}                         in     303    404    303    404    403    404    404    | 404   404   404   404   403
POST /settings/notifications/thresholds                               in     303    303    403    303    403    303    303
POST /settings/notifications/test                                     in     303    303    303    303    403    303    303
GET  /settings/notifications/sent                                     in     200    200    200    200    403    200    200
GET  /settings/notifications/sent.csv                                 in     200    200    200    200    403    200    200
GET  /settings/billing                                                in   200    200    200    200    403    200    200
POST /settings/billing                                                in   303    303    403    303    403    303    303
GET  /settings/messages                                               in   200    200    200    403    403    403    200
POST /settings/messages                                               in   303    303    403    403    403    403    303
GET  /settings/brand                                                  in   200    403    403    403    403    403    200
POST /settings/brand?support=nobody                                   in   422    403    403    403    403    403    422
POST /settings/brand/publish                                          in   303    403    403    403    403    403    303
POST /settings/brand/discard                                          in   303    403    403    403    403    403    303
POST /settings/brand/undo                                             in   303    403    403    403    403    403    303
GET  /settings/brand/preview/{shown}                                  in   200    403    403    403    403    403    200      | 404   403   403   403   403
GET  /settings/embed                                                  in   200    403    403    403    403    403    200
POST /settings/embed                                                  in   303    403    403    403    403    403    303
POST /settings/embed/secret                                           in   200    403    403    403    403    403    200
GET  /settings/domain                                                 in   200    403    403    403    403    403    200
POST /settings/domain                                                 in   422    403    403    403    403    403    422
POST /settings/domain/{domain}/check                                  in   303    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/domain/{domain}/use                                    in   303    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/domain/{domain}/rest                                   in   303    403    403    403    403    403    404      | 404   403   403   403   403
GET  /settings/domain/{domain}/remove                                 in   200    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/domain/{gone-domain}/remove                            in   303    403    403    403    403    403    404      | 404   403   403   403   403
GET  /settings/webhooks                                               in   200    403    403    403    403    403    200
POST /settings/webhooks                                               in   422    403    403    403    403    403    422
GET  /settings/webhooks/{hook}                                        in   200    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/webhooks/{hook}                                        in   422    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/webhooks/{hook}/test                                   in   303    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/webhooks/{hook}/on                                     in   303    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/webhooks/{hook}/off                                    in   303    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/webhooks/{hook}/rotate                                 in   303    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/webhooks/{old-hook}/remove                             in   303    403    403    403    403    403    404      | 404   403   403   403   403
POST /settings/webhooks/{hook}/deliveries/{told}                      in   303    403    403    403    403    403    404      | 404   403   403   403   403
GET  /settings/api-keys                                               in     200   403     403    403    403   403       200
POST /settings/api-keys                                               in     422   403     403    403    403   403       422
GET  /settings/api-keys/{key}                                         in     200   403     403    403    403   403       404      | 404   403     403    403    403
POST /settings/api-keys/{key}/rotate                                  in     422   403     403    403    403   403       404      | 404   403     403    403    403
POST /settings/api-keys/{old-key}/revoke                              in     303   403     403    403    403   403       404      | 404   403     403    403    403
GET  /settings/security                                               in     200   200     200    200    200   200       200
GET  /settings/security/two-step                                      in     200   200     200    200    200   200       200
POST /settings/security/two-step                                      in     422   422     422    422    422   422       422
POST /settings/security/two-step/off                                  in     303   303     303    303    303   303       303
POST /settings/security/recovery-codes                                in     409   409     409    409    409   409       409
POST /settings/security/team                                          in     303   403     403    403    403   403       303
POST /settings/security/email                                         in     422   422     422    422    422   422       422
POST /settings/security/sessions                                      in     303   303     303    303    303   303       303
POST /settings/security/link                                          in     303   303     303    303    303   303       303
POST /settings/password                                               in     422   422     422    422    422   422       422
GET  /switch                                                          in     200   200     200    403    200   403       200
POST /switch?agency={house}                                           in     303   303     303    403    404   403       404      | 404   404     404    403    404

GET  /admin                                                           in     403   403     403    403    200   403       403
GET  /admin/agencies                                                  in     403   403     403    403    200   403       403
GET  /admin/agencies.csv                                              in     403   403     403    403    200   403       403
GET  /admin/agencies/new                                              in     403   403     403    403    200   403       403
POST /admin/agencies/new                                              in     403   403     403    403    422   403       403
GET  /admin/agencies/{agency}                                         in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/agencies/{agency}/look                                    in     403   403     403    403    303   403       403      | 403   403     403    403    404
POST /look/end?again=1                                                in     303   303     303    303    303   303       303
GET  /admin/agencies/{agency}/adjust                                  in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/agencies/{agency}/adjust                                  in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/agencies/{agency}/plan                                    in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/agencies/{agency}/plan                                    in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/agencies/{agency}/pause                                   in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/agencies/{agency}/pause                                   in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/agencies/{agency}/resume                                  in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/agencies/{agency}/resume                                  in     403   403     403    403    303   403       403      | 403   403     403    403    404
GET  /admin/agencies/{agency}/excess                                  in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/agencies/{agency}/excess                                  in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/adjustments                                               in     403   403     403    403    200   403       403
POST /admin/adjustments                                               in     403   403     403    403    422   403       403
GET  /admin/adjustments/{agency}/{adjustment}                         in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/adjustments/{agency}/{adjustment}                         in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/payments                                                    in     403   403     403     403    200   403       403
GET  /admin/payments.csv                                                in     403   403     403     403    200   403       403
POST /admin/payments/compare                                            in     403   403     403     403    303   403       403
POST /admin/payments/events/{endpoint}/{event}                          in     403   403     403     403    303   403       403      | 403   403   403   403   404
POST /admin/payments/{agency}/{bought}/book                             in     403   403     403     403    303   403       403      | 403   403   403   403   404
GET  /admin/payments/{agency}/{bought}/refund                           in     403   403     403     403    200   403       403      | 403   403   403   403   404
POST /admin/payments/{agency}/{bought}/refund                           in     403   403     403     403    422   403       403      | 403   403   403   403   404
GET  /admin/billing-details                                           in   403    403    403    403    200    403    403
POST /admin/billing-details                                           in   403    403    403    403    303    403    403
GET  /admin/webhooks                                                  in   403    403    403    403    200    403    403
POST /admin/webhooks                                                  in   403    403    403    403    422    403    403
GET  /admin/webhooks/{their-hook}                                     in   403    403    403    403    200    403    403      | 403   403   403   403   404
POST /admin/webhooks/{their-hook}                                     in   403    403    403    403    422    403    403      | 403   403   403   403   404
POST /admin/webhooks/{their-hook}/test                                in   403    403    403    403    303    403    403      | 403   403   403   403   404
POST /admin/webhooks/{their-hook}/on                                  in   403    403    403    403    303    403    403      | 403   403   403   403   404
POST /admin/webhooks/{their-hook}/off                                 in   403    403    403    403    303    403    403      | 403   403   403   403   404
POST /admin/webhooks/{their-hook}/rotate                              in   403    403    403    403    303    403    403      | 403   403   403   403   404
POST /admin/webhooks/{gone-hook}/remove                               in   403    403    403    403    303    403    403      | 403   403   403   403   404
POST /admin/webhooks/{their-hook}/deliveries/{their-told}             in   403    403    403    403    303    403    403      | 403   403   403   403   404
GET  /admin/api-keys                                                  in     403   403     403    403    200   403       403
POST /admin/api-keys                                                  in     403   403     403    403    422   403       403
GET  /admin/api-keys/{their-key}                                      in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/api-keys/{their-key}/rotate                               in     403   403     403    403    422   403       403      | 403   403     403    403    404
POST /admin/api-keys/{gone-key}/revoke                                in     403   403     403    403    303   403       403      | 403   403     403    403    404
GET  /admin/people                                                    in     403   403     403    403    200   403       403
GET  /admin/people/{anybody}                                          in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/people/{anybody}/two-step/off                             in     403   403     403    403    303   403       403      | 403   403     403    403    404
POST /admin/people/{gone}/sign-out                                    in     403   403     403    403    303   403       403      | 403   403     403    403    404
GET  /admin/audit                                                     in     403   403     403    403    200   403       403
GET  /admin/audit.csv                                                 in     403   403     403    403    200   403       403
GET  /admin/plans                                                     in     403   403     403    403    200   403       403
GET  /admin/plans/new                                                 in     403   403     403    403    200   403       403
POST /admin/plans/new                                                 in     403   403     403    403    422   403       403
POST /admin/plans/grace                                               in     403   403     403    403    422   403       403
POST /admin/plans/fee                                                 in     403   403     403    403    422   403       403
GET  /admin/plans/{plan}                                              in     403   403     403    403    200   403       403      | 403   403     403    403    404
GET  /admin/plans/{plan}/edit                                         in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/plans/{plan}/edit                                         in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/plans/{plan}/archive                                      in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/plans/{plan}/archive                                      in     403   403     403    403    422   403       403      | 403   403     403    403    404
POST /admin/plans/{plan}/default                                      in     403   403     403    403    303   403       403      | 403   403     403    403    404
GET  /admin/plans/{plan}/move                                         in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/plans/{plan}/move                                         in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/packs                                                     in     403   403     403    403    200   403       403
GET  /admin/packs/new                                                 in     403   403     403    403    200   403       403
POST /admin/packs/new                                                 in     403   403     403    403    422   403       403
GET  /admin/packs/{pack}                                              in     403   403     403    403    200   403       403      | 403   403     403    403    404
GET  /admin/packs/{pack}/edit                                         in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/packs/{pack}/edit                                         in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/packs/{pack}/archive                                      in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/packs/{pack}/archive                                      in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/rates                                                     in     403   403     403    403    200   403       403
GET  /admin/rates/new                                                 in     403   403     403    403    200   403       403
GET  /admin/rates/new?from={card}                                     in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/rates/new                                                 in     403   403     403    403    422   403       403
GET  /admin/rates/{card}                                              in     403   403     403    403    200   403       403      | 403   403     403    403    404
GET  /admin/rates/{card}/rates.csv                                    in     403   403     403    403    200   403       403      | 403   403     403    403    404
GET  /admin/rates/{card}/edit                                         in     403   403     403    403    200   403       403      | 403   403     403    403    404
POST /admin/rates/{card}/edit                                         in     403   403     403    403    422   403       403      | 403   403     403    403    404
GET  /admin/rates/{card}/versions/{edition}                           in     403   403     403    403    200   403       403      | 403   403     403    403    404
GET  /admin/gifts                                                     in     403   403     403    403    200   403       403
GET  /admin/gifts/new                                                 in     403   403     403    403    200   403       403
POST /admin/gifts/new                                                 in     403   403     403    403    422   403       403
GET  /admin/gifts/{gift}                                              in     403   403     403    403    200   403       403       | 403   403     403    403    404
GET  /admin/gifts/{gift}/codes.csv                                    in     403   403     403    403    200   403       403       | 403   403     403    403    404
POST /admin/gifts/{gift}/stop                                         in     403   403     403    403    303   403       403       | 403   403     403    403    404
GET  /admin/referrals                                                 in     403   403     403    403    200   403       403
POST /admin/referrals?credits=x                                       in     403   403     403    403    422   403       403
GET  /admin/usage                                                     in     403   403     403    403    200   403       403
GET  /admin/usage?agency={tenant}                                     in     403   403     403    403    200   403       403      | 403   403     403    403    404
GET  /admin/usage.csv                                                 in     403   403     403    403    200   403       403
GET  /admin/usage.csv?agency={tenant}                                 in     403   403     403    403    200   403       403      | 403   403     403    403    404

POST /webhooks/stripe                                                 400    400   400     400    404    400   404       400
POST /webhooks/stripe/connect                                         400    400   400     400    404    400   404       400
POST /demo/clock                                                      401    401   401     401    404    401   404       401
GET  /demo/mail                                                       200    200   200     200    404    200   404       200
GET  /demo/mail/{mail}                                                200    200   200     200    404    200   404       200      | 404   404     404    404    404
`

// thing is what an address can name: Northwind's or Acme's, and those that are
// none of theirs.
type thing struct {
	own     func() string
	foreign []string
}

// things are the objects of every kind, by the names that the table gives them.
func (p *portal) things() map[string]thing {
	p.t.Helper()
	ctx, nothing := p.t.Context(), models.NewID[models.AgencyID](begin)
	is := func(own string, foreign ...string) thing { return thing{func() string { return own }, foreign} }
	must := func(err error) { require.NoError(p.t, err) }
	sub := func(name string) models.SubAccount {
		s, err := p.billing.CreateSubAccount(ctx, billing.Scope{}, billing.SubAccountInput{Agency: p.northwind.ID, ExternalID: name, Name: strings.ToUpper(name), By: "test"})
		must(err)
		return s
	}
	spare, away := sub("spare"), sub("away")
	p.person(ctx, "neighbour", p.northwind, models.RoleClient, spare.ID)
	p.person(ctx, "guest", p.bluebird, models.RoleClient, p.maple.ID)

	growth, other := p.selling(p.northwind), p.selling(p.bluebird)
	sale := func(wallet models.WalletID, pkg models.Package, paid bool) models.Purchase {
		account, err := p.billing.AccountOf(ctx, wallet)
		must(err)
		got, err := p.billing.BuyPackage(ctx, billing.PackageInput{Account: account, Package: pkg.ID.String(), Key: fmt.Sprint(wallet, paid), By: "test"})
		must(err)
		if paid {
			p.till.pay(got.CheckoutSession)
			got, err = p.billing.Settle(ctx, got.AgencyID, got.ID)
			must(err)
		}
		return got
	}
	bought := func(a models.Agency, pack string, paid bool) models.Purchase {
		account, err := p.billing.AccountOf(ctx, a.WalletID)
		must(err)
		got, err := p.billing.Buy(ctx, billing.BuyInput{Account: account, Pack: pack, Key: fmt.Sprint(pack, paid), By: "test"})
		must(err)
		if paid {
			p.till.pay(got.CheckoutSession)
			got, err = p.billing.Settle(ctx, got.AgencyID, got.ID)
			must(err)
		}
		return got
	}
	purchase, theirs := bought(p.northwind, "credits-2000", true), bought(p.bluebird, "credits-2000", true)
	bought(p.northwind, "credits-35000", true) // enough for every sale
	acmeSale, spareSale, mapleSale := sale(p.acme.WalletID, growth, true), sale(spare.WalletID, growth, true), sale(p.maple.WalletID, other, true)
	month := func(of models.Purchase) string { return p.everyMonth(of).ID.String() }
	open, openTheirs := bought(p.northwind, "credits-2000", false), bought(p.bluebird, "credits-2000", false)
	acmeOpen, mapleOpen := sale(p.acme.WalletID, growth, false), sale(p.maple.WalletID, other, false)
	moved := func(a models.Agency, s models.SubAccount) string {
		out, err := p.billing.Assign(ctx, billing.Scope{}, billing.TransferInput{Agency: a.ID, SubAccount: s.ID, Credits: models.Credit, Key: "moved", By: "test"})
		must(err)
		return out.Act.ID.String()
	}
	many := func(a models.Agency, s models.SubAccount) string {
		out, _, err := p.billing.AssignMany(ctx, billing.Scope{}, billing.BulkInput{
			Agency: a.ID, Way: models.BulkSame, Shares: []billing.BulkShare{{SubAccount: s.ID, Credits: models.Credit}}, Key: "many", By: "test",
		})
		must(err)
		return out.ID.String()
	}
	group := func(wallet models.WalletID) string {
		return billing.GroupRef{Start: begin, Wallet: wallet, Action: "ai.reply", Model: "gpt-4"}.String()
	}
	chosen := func(s models.SubAccount) string {
		return "name=Own&credits=1000&price=60&cost_basis=best&audience=chosen&sub=" + s.ID.String()
	}
	n := 0
	invite := func(c billing.Circle) models.Invitation {
		n++
		row, err := p.billing.Invite(ctx, billing.InviteInput{Circle: c, Email: fmt.Sprintf("invited%d@example.test", n), Role: models.RoleMember, From: "owner@example.test", By: "test"})
		must(err)
		return row
	}
	invited := func(c billing.Circle) string { return invite(c).ID.String() }
	letter := func(c billing.Circle) string {
		_, at := p.mailed(invite(c).Email)
		return path.Base(at)
	}
	leaver := func(role models.Role, s models.SubAccountID) string {
		n++
		name := fmt.Sprint("leaver", n)
		p.person(ctx, name, p.northwind, role, s)
		return p.users[name].ID.String()
	}
	link := func(name string) string {
		token, err := p.billing.NewSignInLink(ctx, p.users[name].ID, 1e12, 1)
		must(err)
		return token
	}
	reset := func(email string, portal models.AgencyID) string {
		must(p.billing.RequestPasswordReset(ctx, email, portal, "203.0.113.1"))
		_, to := p.mailed(email)
		return path.Base(to)
	}
	confirm := func(a models.Agency) string {
		n++
		name := fmt.Sprint("mover", n)
		p.person(ctx, name, a, models.RoleMember, models.SubAccountID{})
		v := billing.Viewer{User: p.users[name]}
		must(p.billing.RequestEmailChange(ctx, &v, name+"@elsewhere.test", models.AgencyID{}, fmt.Sprintf("10.0.0.%d", n)))
		_, to := p.mailed(name + "@elsewhere.test")
		return path.Base(to)
	}
	confirmAt := func(a models.Agency) string {
		v := billing.Viewer{User: p.users["guest"]}
		must(p.billing.RequestEmailChange(ctx, &v, "guest@elsewhere.test", a.ID, "10.0.1.1"))
		_, to := p.mailed("guest@elsewhere.test")
		return path.Base(to)
	}
	person := func(name string) string { return p.users[name].ID.String() }
	off := func(agency models.AgencyID, name string) string {
		path, err := p.billing.MailsOffPath(ctx, agency, p.users[name].ID, models.NoticeLow)
		must(err)
		return strings.TrimPrefix(path, "/notices/off/")
	}
	team, acmes := billing.Circle{Agency: p.northwind.ID}, billing.Circle{Agency: p.northwind.ID, SubAccount: p.acme.ID}
	spares, maples := billing.Circle{Agency: p.northwind.ID, SubAccount: spare.ID}, billing.Circle{Agency: p.bluebird.ID, SubAccount: p.maple.ID}
	offer, err := p.billing.SavePackage(ctx, billing.Scope{}, billing.PackageEdit{
		Agency: p.northwind.ID, Name: "Starter", Credits: 5_000 * models.Credit, Price: 4_000, CostBasis: models.CostBest, By: "test",
	})
	must(err)
	asked, err := p.billing.AskAdjustment(ctx, billing.AdjustInput{
		Agency: p.bluebird.ID, Wallet: p.bluebird.WalletID, Credits: 60_000 * models.Credit, Reason: "Outage", Key: "asked", By: "user:sam@example.test",
	})
	must(err)
	charge, bluebirds := p.charge("agency:northwind"), p.charge("agency:bluebird")
	acmesCharge, maplesCharge := p.charge("sub:northwind/acme"), p.charge("sub:bluebird/maple")
	letter(maples) // a mail to read
	must(p.billing.ReceiveEvent(ctx, billing.EndpointPlatform, []byte(`{"id":"evt_access","type":"checkout.session.completed","object_id":"`+purchase.CheckoutSession+`"}`), "good"))
	gift, err := p.billing.CreateGift(ctx, billing.GiftInput{Name: "Welcome", Credits: models.Credit, Code: "WELCOME", Reason: "Launch", Key: "gift", By: "test"})
	must(err)
	referral, err := p.billing.ReferralCode(ctx, p.northwind.ID)
	must(err)
	plan, pack, card := p.offered(p.defaultPlan()).ID.String(), p.onSale("credits-2000").ID.String(), p.card().ID.String()
	listen := func(o billing.WebhookOwner) (id string) {
		row, _, err := p.billing.AddWebhook(ctx, billing.WebhookInput{Owner: o, URL: "https://hooks.invalid/x", By: "test"})
		must(err)
		return row.ID.String()
	}
	told := func(o billing.WebhookOwner, endpoint string) string {
		id, err := models.ParseID[models.WebhookEndpointID](endpoint)
		must(err)
		d, err := p.billing.TestWebhook(ctx, o, id, "test")
		must(err)
		return d.EventID.String()
	}
	ours, strangers, operators := billing.WebhookOwner{Agency: p.northwind.ID}, billing.WebhookOwner{Agency: p.bluebird.ID}, billing.WebhookOwner{}
	key := func(o billing.Scope) string {
		_, row, err := p.billing.CreateAPIKey(ctx, o, "Program", "test")
		must(err)
		return row.ID.String()
	}
	keyOurs, keyTheirs, keyPlatform := key(billing.Scope{Agency: p.northwind.ID}), key(billing.Scope{Agency: p.bluebird.ID}), key(billing.Scope{})
	hook, theirHook, platformHook := listen(ours), listen(strangers), listen(operators)
	toldOurs, toldStrangers, toldOperators := told(ours, hook), told(strangers, theirHook), told(operators, platformHook)
	branded := func(a models.Agency) string {
		must(p.billing.SaveBrandDraft(ctx, billing.Scope{}, billing.BrandInput{Agency: a.ID, Colour: "#ffd400", Logo: aLogo(p.t), By: "test"}))
		must(p.billing.PublishBrand(ctx, billing.Scope{}, a.ID, "test"))
		a, err := p.billing.Agency(ctx, a.ID)
		must(err)
		b, err := p.billing.BrandOf(ctx, &a)
		must(err)
		return b.Logo + ".png"
	}
	claimed := func(a models.Agency, name string) string {
		d, err := p.billing.ClaimDomain(ctx, billing.Scope{}, a.ID, name, "test")
		must(err)
		return d.Name
	}
	logo, theirLogo := branded(p.northwind), branded(p.bluebird)
	quote := func(a models.Agency) models.SavedQuote {
		q, err := p.billing.SaveQuote(ctx, billing.QuoteInput{Agency: a.ID, Name: "Acme", Query: "c=500", Sheet: "{}", Days: 14, By: "test"})
		must(err)
		return q
	}
	quoted, shown, quotedThere := quote(p.northwind), quote(p.northwind), quote(p.bluebird)
	for _, given := range []models.Purchase{purchase, acmeSale} {
		must(p.db.Write.Create(&models.CreditNote{
			AgencyID: given.AgencyID, PurchaseID: given.ID, Refund: "re_1", Account: given.Account, Number: 1, Amount: 1, Currency: "usd", RefundedAt: begin, CreatedAt: begin,
		}).Error)
	}
	return map[string]thing{
		"sheet":         is(path.Base(views.BrandSheet("#ffd400", models.CornersRound)), "ffd400-round.css", "ffd400-round.00000000.css", "usual.css"),
		"logo":          is(logo, theirLogo, strings.TrimSuffix(logo, ".png")),
		"domain":        is(claimed(p.northwind, "credits.orbit.example"), claimed(p.bluebird, "credits.comet.example")),
		"gone-domain":   {func() string { return claimed(p.northwind, "gone.orbit.example") }, []string{claimed(p.bluebird, "gone.comet.example")}},
		"embedded":      is("balance", "everything"),
		"shown":         is("balance", "everything"),
		"file":          is("app.css", "nothing.css", "..%2fgo.mod"),
		"link":          {func() string { return link("owner") }, []string{link("guest")}},
		"reset":         is(reset("owner@example.test", models.AgencyID{}), reset("guest@example.test", p.bluebird.ID)),
		"confirm":       {func() string { return confirm(p.northwind) }, []string{confirmAt(p.bluebird)}},
		"off":           is(off(p.northwind.ID, "owner"), off(p.bluebird.ID, "client")),
		"letter":        {func() string { return letter(team) }, []string{letter(maples)}},
		"code":          is("acme", "maple", p.maple.ID.String()),
		"charge":        is(charge, bluebirds, maplesCharge),
		"acme-charge":   is(acmesCharge, maplesCharge),
		"acme-act":      is(moved(p.northwind, p.acme), moved(p.bluebird, p.maple)),
		"bulk":          is(many(p.northwind, p.acme), many(p.bluebird, p.maple)),
		"group":         is(group(p.northwind.WalletID), group(p.bluebird.WalletID), group(p.maple.WalletID)),
		"acme-group":    is(group(p.acme.WalletID), group(p.maple.WalletID)),
		"offer":         is(growth.ID.String(), other.ID.String()),
		"open":          is(open.ID.String(), openTheirs.ID.String(), mapleOpen.ID.String()),
		"acme-open":     is(acmeOpen.ID.String(), mapleOpen.ID.String()),
		"session":       is(purchase.CheckoutSession, theirs.CheckoutSession, mapleSale.CheckoutSession),
		"acme-session":  is(acmeSale.CheckoutSession, mapleSale.CheckoutSession, spareSale.CheckoutSession),
		"purchase":      is(purchase.ID.String(), theirs.ID.String(), mapleSale.ID.String()),
		"month":         is(month(acmeSale), month(mapleSale)),
		"sale":          is(acmeSale.ID.String(), mapleSale.ID.String(), purchase.ID.String()),
		"bought":        is(purchase.ID.String(), theirs.ID.String(), nothing.String()),
		"endpoint":      is("platform", "connect"),
		"event":         is("evt_access", "evt_nothing"),
		"note":          is("1"),
		"quote":         is(quoted.ID.String(), quotedThere.ID.String()),
		"quote-link":    is(shown.Token, quotedThere.Token),
		"acme-purchase": is(acmeSale.ID.String(), mapleSale.ID.String(), spareSale.ID.String()),
		"acme":          is(p.acme.ID.String(), p.maple.ID.String()),
		"away":          is(away.ID.String(), p.maple.ID.String()),
		"acme-person":   is(person("client"), person("guest"), person("neighbour"), person("member")),
		"acme-leaver":   {func() string { return leaver(models.RoleClient, p.acme.ID) }, []string{person("guest"), person("neighbour"), person("member")}},
		"acme-invited":  {func() string { return invited(acmes) }, []string{invited(maples), invited(spares), invited(team)}},
		"package":       is(offer.ID.String(), other.ID.String()),
		"colleague":     is(person("member"), person("stranger"), person("client")),
		"mate":          is(person("member"), person("stranger")),
		"leaver":        {func() string { return leaver(models.RoleMember, models.SubAccountID{}) }, []string{person("stranger"), person("client")}},
		"invited":       {func() string { return invited(team) }, []string{invited(billing.Circle{Agency: p.bluebird.ID}), invited(acmes)}},
		"for-acme":      is(chosen(p.acme), chosen(p.maple)),
		"house":         is(p.northwind.ID.String(), p.bluebird.ID.String()),
		"agency":        is(p.northwind.ID.String(), nothing.String(), plan),
		"tenant":        is("northwind", "nothing"),
		"adjustment":    is(p.asked(60_000, "user:sam@example.test").String(), asked.Waiting.ID.String()),
		"plan":          is(plan, models.NewID[models.PlanID](begin).String(), pack),
		"pack":          is(pack, models.NewID[models.PackID](begin).String(), plan),
		"card":          is(card, models.NewID[models.RateCardID](begin).String(), plan),
		"edition":       is("1", "2", "0"),
		"gift":          is(gift.ID.String(), models.NewID[models.GiftID](begin).String(), plan),
		"referral":      is(referral, "NOSUCHCODE", p.northwind.ID.String()),
		"mail":          is("1", "0", "999999", "x"),
		"anybody":       is(person("member"), models.NewID[models.UserID](begin).String(), plan),
		"gone":          {func() string { return leaver(models.RoleMember, models.SubAccountID{}) }, []string{models.NewID[models.UserID](begin).String(), plan}},
		"key":           is(keyOurs, keyTheirs, keyPlatform),
		"old-key":       {func() string { return key(billing.Scope{Agency: p.northwind.ID}) }, []string{keyTheirs, keyPlatform}},
		"their-key":     is(keyPlatform, keyTheirs, keyOurs),
		"gone-key":      {func() string { return key(billing.Scope{}) }, []string{keyTheirs, keyOurs}},
		"hook":          is(hook, theirHook, platformHook),
		"old-hook":      {func() string { return listen(ours) }, []string{theirHook, platformHook}},
		"told":          is(toldOurs, toldStrangers, toldOperators),
		"their-hook":    is(platformHook, theirHook, hook),
		"gone-hook":     {func() string { return listen(operators) }, []string{theirHook, hook}},
		"their-told":    is(toldOperators, toldStrangers, toldOurs),
	}
}

var (
	named   = regexp.MustCompile(`\{([a-z-]+)\}`)
	segment = regexp.MustCompile(`:\w+|\{[a-z-]+\}`)
)

// accessLine is a line of the table.
type accessLine struct {
	method, address string
	own, foreign    []string // cells, by column
}

// route is the line's address as the router knows it.
func (l *accessLine) route() string {
	at, _, _ := strings.Cut(l.address, "?")
	return l.method + " " + segment.ReplaceAllString(at, ":")
}

// readAccess reads the table: who its columns are, and its lines.
func readAccess(t *testing.T) (own, foreign []string, lines []accessLine) {
	t.Helper()
	cells := func(text string) (own, foreign []string) {
		left, right, _ := strings.Cut(text, "|")
		return strings.Fields(left), strings.Fields(right)
	}
	for text := range strings.Lines(strings.TrimPrefix(access, "\n")) {
		if own == nil {
			own, foreign = cells(text)
			continue
		}
		a, b := cells(text)
		if len(a) == 0 {
			continue
		}
		l := accessLine{method: a[0], address: a[1], own: a[2:], foreign: b}
		require.Len(t, l.own, len(own), text)
		if named.MatchString(l.address) {
			require.Len(t, l.foreign, len(foreign), text)
		} else {
			require.Empty(t, l.foreign, text)
		}
		lines = append(lines, l)
	}
	return own, foreign, lines
}

// fill puts things into an address: those that is names, and for the others what
// is own.
func (l *accessLine) fill(t *testing.T, things map[string]thing, is map[string]string) string {
	t.Helper()
	return named.ReplaceAllStringFunc(l.address, func(s string) string {
		name := strings.Trim(s, "{}")
		if got, ok := is[name]; ok {
			return got
		}
		require.Contains(t, things, name)
		return things[name].own()
	})
}

// wrong are the ways in which an address can name what is not one's own: each of
// its things alone, and all of them.
func (l *accessLine) wrong(things map[string]thing) []map[string]string {
	var out []map[string]string
	all := map[string]string{}
	for _, m := range named.FindAllStringSubmatch(l.address, -1) {
		for i, id := range things[m[1]].foreign {
			out = append(out, map[string]string{m[1]: id})
			if i == 0 {
				all[m[1]] = id
			}
		}
	}
	if len(all) > 1 {
		out = append(out, all)
	}
	return out
}

// attempt is one cell: somebody at an address.
type attempt struct {
	line    *accessLine
	who, at string
	want    string
	public  bool // no session is needed: whoever has the address sees what is behind it
}

func (x *attempt) String() string {
	return fmt.Sprintf("%s %s (%s) by %s", x.line.method, x.line.address, x.at, x.who)
}

// turn is when an attempt is made: what is refused before what is only looked at,
// and that before what may change something.
type turn int

const (
	refused turn = iota
	looks
	changes
)

func (x *attempt) turn() turn {
	at, query, _ := strings.Cut(x.line.address, "?")
	name, _, _ := strings.Cut(query, "=")
	switch {
	case !strings.HasPrefix(x.want, "2") && !strings.HasPrefix(x.want, "3"):
		return refused
	case x.line.method == http.MethodGet && writesWhenLookedAt[at] == "" && writesWhenLookedAt[at+"?"+name] == "":
		return looks
	}
	return changes
}

// writesWhenLookedAt are the addresses that write something though they are only
// looked at, and what. Most are where Stripe sends people back to, which can only
// lead: what is written is what Stripe says, as the clock would write it later.
var writesWhenLookedAt = map[string]string{
	"/buy/return":              "how Stripe says that the payment stands",
	"/buy?cancelled":           "that the checkout was left, which closes it and frees its stock",
	"/buy/automatic/card":      "which card Stripe says was agreed to",
	"/plan/return":             "how Stripe says that the plan stands",
	"/packages/connect":        "whether Stripe says that the agency may sell",
	"/packages/connect/return": "the same",
	"/referral":                "the agency's code, the first time it is shown",
}

// attempts are all cells of the table with their addresses filled in.
func (p *portal) attempts() (out []*attempt, who []string) {
	p.t.Helper()
	own, foreign, lines := readAccess(p.t)
	policies := map[string]string{}
	for _, r := range handlers.Table() {
		policies[r.Method+" "+segment.ReplaceAllString(r.Path, ":")] = r.Who
	}
	things, seen := p.things(), map[string]bool{}
	for i := range lines {
		l := &lines[i]
		policy, ok := policies[l.route()]
		require.True(p.t, ok, "%s %s is no route any more", l.method, l.address)
		seen[l.route()] = true
		public := policy == "visitors" || strings.HasPrefix(policy, "anybody")
		for j, who := range own {
			out = append(out, &attempt{l, who, l.fill(p.t, things, nil), l.own[j], public})
		}
		for _, is := range l.wrong(things) {
			for j, who := range foreign {
				out = append(out, &attempt{l, who, l.fill(p.t, things, is), l.foreign[j], public})
			}
		}
	}
	for route := range policies {
		require.True(p.t, seen[route], "%s has no line in the table", route)
	}
	return out, own
}

// TestEveryRouteByEveryRole executes every cell of the table. What is refused is
// tried first, all of it, and then what is only looked at: either leaves every row
// of the database as it was.
func TestEveryRouteByEveryRole(t *testing.T) {
	t.Parallel()
	p := sqlite(t, func(c *handlers.Config) {
		c.Demo = &handlers.Demo{Banner: "Demo", Advance: func(context.Context, models.Time) error { return nil }}
	})
	attempts, who := p.attempts()
	h := p.hall(who)
	var wrong []string
	try := func(when turn) {
		for _, x := range attempts {
			if x.turn() != when {
				continue
			}
			if got := h.try(x); got != x.want {
				wrong = append(wrong, fmt.Sprintf("%s: %s, not %s", x, got, x.want))
			}
		}
		require.Empty(t, wrong, strings.Join(wrong, "\n"))
	}
	before := p.rows()
	try(refused)
	require.Equal(t, before, p.rows(), "what was refused changed something")
	try(looks)
	require.Equal(t, before, p.rows(), "a look changed something")
	try(changes)
}

// What is another's is never found: this holds the table itself to it.
func TestNothingForeignIsEverFound(t *testing.T) {
	t.Parallel()
	_, _, lines := readAccess(t)
	for i := range lines {
		l := &lines[i]
		_, form, _ := strings.Cut(l.address, "?")
		for _, cell := range l.foreign {
			switch {
			case slices.Contains([]string{"403", "404", "410", "none"}, cell):
			case cell == "422" && l.method == http.MethodPost && named.MatchString(form): // the form says that there is no such thing
			default:
				require.Fail(t, "found", "%s %s: %s", l.method, l.address, cell)
			}
		}
	}
}

// rows is what the database holds, sessions and sign-ins aside: who is seen when
// is no object.
func (p *portal) rows() map[string]string {
	p.t.Helper()
	return modelstest.Digest(p.t, p.db, "sessions", "sign_in_attempts", "sign_in_links")
}

// hall is everybody, each with a browser and the token of a page.
type hall struct {
	p        *portal
	browsers map[string]*browser
	tokens   map[string]string
}

func (p *portal) hall(who []string) *hall {
	p.t.Helper()
	h := &hall{p: p, browsers: map[string]*browser{}, tokens: map[string]string{}}
	for _, name := range who {
		h.enter(name)
	}
	return h
}

// enter opens a new browser for somebody.
func (h *hall) enter(who string) {
	h.p.t.Helper()
	from := "/settings/security"
	switch who {
	case "nobody":
		h.browsers[who], from = h.p.visitor(home), "/sign-in"
	case "neighbour":
		h.browsers[who] = h.p.signedIn(who, clients)
	case "looking":
		h.browsers[who] = h.p.as("admin")
		at := "/admin/agencies/" + h.p.northwind.ID.String()
		require.Equal(h.p.t, "/", h.browsers[who].fill(at, at+"/look", url.Values{}).to())
	case "peeking":
		h.browsers[who] = h.p.as("owner")
		at := "/sub-accounts/" + h.p.acme.ID.String()
		require.Equal(h.p.t, "/", h.browsers[who].fill(at, at+"/look", url.Values{}).to())
	case "suspended":
		h.suspend("0")
		h.browsers[who] = h.p.as(who)
	default:
		h.browsers[who] = h.p.as(who)
	}
	h.tokens[who] = h.browsers[who].get(from).token()
	if who == "suspended" {
		h.suspend("1")
	}
}

// suspend switches off an owner who stays signed in, or on again.
func (h *hall) suspend(at string) {
	h.p.t.Helper()
	if h.p.users["suspended"].ID.IsZero() {
		h.p.person(h.p.t.Context(), "suspended", h.p.northwind, models.RoleOwner, models.SubAccountID{})
	}
	require.NoError(h.p.t, h.p.db.Write.Exec("UPDATE users SET disabled_at = ? WHERE id = ?", at, h.p.users["suspended"].ID).Error)
}

// TestEveryRouteByWhoLooksAndWhoIsSuspended executes three more columns, which follow
// from the others: an admin who looks as Northwind finds what its owner finds, its
// owner who looks as Acme what Acme finds, and neither changes anything; an owner who
// is switched off while signed in is nobody. Then Northwind is paused.
func TestEveryRouteByWhoLooksAndWhoIsSuspended(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	attempts, who := p.attempts()
	require.Equal(t, []string{"nobody", "owner"}, who[:2])
	h := p.hall([]string{"looking", "peeking", "suspended"})
	as := map[string]string{"owner": "looking", "client": "peeking"}
	var wrong []string
	cells := 0
	try := func(x attempt) {
		cells++
		if got := h.try(&x); got != x.want {
			wrong = append(wrong, fmt.Sprintf("%s: %s, not %s", &x, got, x.want))
		}
	}
	// A look at Stripe brings up to date what it told nobody of, and tells the agency.
	_, err := p.billing.RefreshConnection(t.Context(), p.northwind.ID)
	require.NoError(t, err)
	// What looking itself writes down, and when Stripe was looked at.
	aside := []string{"sessions", "sign_in_attempts", "sign_in_links", "users", "members", "audit_log", "audit_unsealed", "audit_seals", "stripe_accounts"}
	before := modelstest.Digest(t, p.db, aside...)
	for _, x := range attempts {
		path, _, _ := strings.Cut(x.line.address, "?")
		if strings.HasPrefix(path, "/demo/") {
			continue // there is no demo here
		}
		form := x.line.method == http.MethodPost && !x.public
		switch {
		case x.who == "nobody" && (form || !x.public):
			x := *x
			x.who = "suspended"
			try(x)
		case as[x.who] != "" && !x.public:
			x := *x
			x.who = as[x.who]
			switch {
			case path == assistEnd:
				continue // is for them: see TestAnAdminLooksAsAnAgency
			case strings.HasPrefix(path, "/webhooks/") || path == "/setup": // no session is looked at
				if x.who == "peeking" {
					continue // a client has another host
				}
			case form:
				x.want = "403"
			case strings.Contains(x.line.address, "?cancelled="):
				x.want = "200" // the page, and nothing is cancelled
			case path == "/buy/automatic/card":
				x.want = "303" // back to the page, and no card is taken
			}
			try(x)
		}
	}
	require.Empty(t, wrong, strings.Join(wrong, "\n"))
	require.Greater(t, cells, 1_000)
	require.Equal(t, before, modelstest.Digest(t, p.db, aside...), "who only looks, or is nobody, changed something")
	h.pausedColumns(attempts)
}

const assistEnd = "/look/end"

// whilePaused are the cells of Northwind's owner and its client that are others while
// the platform has paused the agency: nothing is bought or sold.
const whilePaused = `
                                                     owner client
POST /buy?pack={offer}                               403   403
`

// pausedColumns execute two columns more: the owner and the client of an agency that
// the platform has paused find what they found, and what would be bought, sold or
// used is not. In make test every fourth page stands for all of them.
func (h *hall) pausedColumns(attempts []*attempt) {
	t := h.p.t
	t.Helper()
	_, err := h.p.billing.PauseAgency(t.Context(), h.p.northwind.ID, "test", "test")
	require.NoError(t, err)
	instead := map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(whilePaused)) {
		if cell := strings.Fields(line); len(cell) == 4 {
			instead[cell[0]+" "+cell[1]+" owner"], instead[cell[0]+" "+cell[1]+" client"] = cell[2], cell[3]
		}
	}
	h.enter("owner")
	h.enter("client")
	var wrong []string
	left, n := maps.Clone(instead), 0
	try := func(when turn) {
		for _, x := range attempts {
			x := *x
			name := x.line.method + " " + x.line.address + " " + x.who
			if want, other := instead[name]; other && x.want != "404" {
				x.want = want
				delete(left, name)
			}
			if x.who != "owner" && x.who != "client" || x.turn() != when || strings.HasPrefix(x.line.address, "/demo/") {
				continue
			}
			if n++; x.line.method == http.MethodGet && n%4 > 0 && size("LINKS", 0) == 0 {
				continue
			}
			if got := h.try(&x); got != x.want {
				wrong = append(wrong, fmt.Sprintf("%s of a paused agency: %s, not %s", &x, got, x.want))
			}
		}
	}
	before := h.p.rows()
	try(refused)
	require.Equal(t, before, h.p.rows(), "what was refused changed something")
	try(looks)
	try(changes)
	require.Empty(t, wrong, strings.Join(wrong, "\n"))
	require.Empty(t, left, "no such cell")
	after := h.p.rows()
	for _, table := range []string{"charges", "holds", "purchases", "plan_orders", "package_subscriptions", "gift_redemptions"} {
		had, _, _ := strings.Cut(before[table], ",")
		have, _, _ := strings.Cut(after[table], ",")
		require.Equal(t, had, have, "something new among %s", table)
	}
}

// try makes an attempt and gives what came, in the words of the table.
func (h *hall) try(x *attempt) string {
	h.p.t.Helper()
	a := h.send(x, x.at)
	for _, secret := range secrets(x.who) {
		if !x.public && says(a.body, secret) {
			return strconv.Itoa(a.StatusCode) + ", which shows " + secret
		}
	}
	to, query, asked := strings.Cut(a.to(), "?")
	asked = asked && strings.HasPrefix(query, "next=")
	switch {
	case a.StatusCode == http.StatusSeeOther && to == "/sign-in" && (asked || x.line.method == http.MethodGet):
		return "in"
	case a.StatusCode == http.StatusSeeOther && x.line.method == http.MethodPost && x.public:
		h.enter(x.who) // they may be somebody else now, or nobody
	case x.want == "none" && a.StatusCode == http.StatusOK && a.shows(x.at, h.nothing(x)) == h.send(x, h.nothing(x)).shows(x.at, h.nothing(x)):
		return "none"
	}
	return strconv.Itoa(a.StatusCode)
}

// says tells whether a page has a word: as one of its own, for tokens and ids have any
// four letters now and then.
func says(body, word string) bool {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`).MatchString(body)
}

func TestAWordIsFoundAsOne(t *testing.T) {
	t.Parallel()
	require.True(t, says("<td>ACME</td>", "ACME"))
	require.True(t, says(`value="client@example.test"`, "client@example.test"))
	require.False(t, says(`value="Qx1ACMEv9"`, "ACME"))
}

// nothing is an attempt's address with a name in its query that nothing has.
func (h *hall) nothing(x *attempt) string {
	h.p.t.Helper()
	at, query, _ := strings.Cut(x.at, "?")
	q, err := url.ParseQuery(query)
	require.NoError(h.p.t, err)
	for name, values := range q {
		if strings.Contains(x.line.address, name+"={") || strings.Contains(x.line.address, "?{") && name == "sub" {
			q[name] = []string{strings.Repeat("z", len(values[0]))}
		}
	}
	return at + "?" + q.Encode()
}

// shows is what a person reads, whatever they asked for by any of these addresses: what
// was asked for by one may stand in an id of the other's page.
func (a answer) shows(ats ...string) string {
	a.t.Helper()
	text := a.body
	if main := a.doc().Find("main"); main.Length() > 0 {
		text = main.Text()
	}
	for _, at := range ats {
		_, query, _ := strings.Cut(at, "?")
		q, err := url.ParseQuery(query)
		require.NoError(a.t, err)
		for _, name := range slices.Sorted(maps.Keys(q)) {
			text = strings.ReplaceAll(text, q.Get(name), "")
		}
	}
	return text
}

// secrets are words that somebody is never shown: of other agencies, and of other
// clients.
func secrets(who string) []string {
	northwind, bluebird := []string{"Northwind", "ACME", "SPARE", "client@example.test"}, []string{"Bluebird", "MAPLE", "stranger@example.test", "guest@example.test"}
	switch who {
	case "owner", "billing", "member", "looking":
		return bluebird
	case "client", "peeking":
		return append(bluebird, "SPARE", "neighbour@example.test")
	case "neighbour":
		return append(bluebird, "ACME", "client@example.test")
	case "stranger", "nobody", "suspended":
		return northwind
	}
	return nil
}

func (h *hall) send(x *attempt, at string) answer {
	h.p.t.Helper()
	b := h.browsers[x.who]
	if x.line.method == http.MethodGet {
		return b.get(at)
	}
	at, query, _ := strings.Cut(at, "?")
	form, err := url.ParseQuery(query)
	require.NoError(h.p.t, err)
	form.Set("csrf_token", h.tokens[x.who])
	return b.post(at, form)
}

// TestNoAddressTakesAnotherMethod sends every method that the table does not name
// to every address of it, with a good session and token. Where another route has
// a parameter, the address is that route's, and names a thing that is not there.
func TestNoAddressTakesAnotherMethod(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	attempts, _ := p.attempts()
	who := []string{"owner", "client", "admin"}
	h := p.hall(who)
	known := map[string]bool{}
	for _, r := range handlers.Table() {
		known[r.Method+" "+segment.ReplaceAllString(r.Path, ":")] = true
	}
	before := p.rows()
	for _, x := range attempts {
		if !slices.Contains(who, x.who) {
			continue
		}
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			l := accessLine{method: method, address: x.line.address}
			if known[l.route()] || x.who != "owner" && method != http.MethodPost && method != http.MethodGet {
				continue
			}
			at, _, _ := strings.Cut(x.at, "?")
			a := h.browsers[x.who].send(method, at, url.Values{"csrf_token": {h.tokens[x.who]}, "do": {"revoke"}})
			require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone}, a.StatusCode, "%s %s by %s", method, at, x.who)
		}
	}
	require.Equal(t, before, p.rows())
}

// TestEveryRouteOnEveryHost asks for every route where it does not belong: at a
// portal, with the session of the platform and without; at the platform with that
// of a portal; and at a host that is nobody's.
func TestEveryRouteOnEveryHost(t *testing.T) {
	t.Parallel()
	p := sqlite(t, func(c *handlers.Config) {
		c.Demo = &handlers.Demo{Banner: "Demo", Advance: func(context.Context, models.Time) error { return nil }}
	})
	h := p.hall([]string{"owner", "admin", "client", "stranger"})
	ask := func(r handlers.Route, at, session string) answer {
		b := p.visitor(at)
		u, err := url.Parse(at)
		require.NoError(t, err)
		if session != "" {
			b.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: h.browsers[session].cookie()}})
		}
		path := strings.NewReplacer(":token", strings.Repeat("x", 43), ":name", "app.css", ":id", p.acme.ID.String(), ":user", p.users["client"].ID.String()).Replace(r.Path)
		if r.Method == http.MethodGet {
			return b.get(path)
		}
		return b.post(path, url.Values{"csrf_token": {h.tokens[session]}})
	}
	before := p.rows()
	for _, r := range handlers.Table() {
		name := r.Method + " " + r.Path
		if r.Path == "/sign-out" {
			continue // would end the very sessions
		}
		if r.Path == "/internal/tls" {
			continue // has no door, only askers: see TestCertificatesAreForNamesServedHere
		}
		probe := r.Path == "/healthz" || r.Path == "/readyz"
		a := ask(r, "http://nobody.refill.test", "owner")
		if !probe {
			require.Equal(t, http.StatusNotFound, a.StatusCode, name)
			require.Empty(t, a.body, name)
		}
		for _, x := range []struct{ at, session string }{{clients, ""}, {clients, "owner"}, {clients, "admin"}, {others, "stranger"}, {others, "client"}, {home, "client"}} {
			a := ask(r, x.at, x.session)
			portal := x.at != home
			var want []int
			switch {
			case probe, r.Path == "/static/:name":
				want = []int{http.StatusOK}
			case r.Who == "platform API key" || r.Who == "Stripe's signature", strings.HasPrefix(r.Path, "/demo/"):
				want = []int{http.StatusNotFound}
				if !portal {
					continue // the platform's own, see the table
				}
			case r.Path == "/setup" && portal:
				want = []int{http.StatusNotFound}
			case r.Path == "/setup" && r.Method == http.MethodPost:
				want = []int{http.StatusConflict, http.StatusForbidden} // there is an admin
			case strings.HasPrefix(r.Path, "/embed/"), strings.HasPrefix(r.Path, "/brand/"): // no such colour, and no such picture
				want = []int{http.StatusNotFound}
			case r.Path == "/q/:token": // no such quote
				want = []int{http.StatusNotFound}
			case r.Path == "/r/:code": // nothing that a client's portal has, and no code anywhere
				want = []int{http.StatusNotFound}
			case r.Who == "visitors", r.Who == "anybody with the mail":
				want = []int{http.StatusOK, http.StatusSeeOther, http.StatusForbidden, http.StatusGone, http.StatusUnprocessableEntity}
			case x.session == "" && r.Method == http.MethodPost:
				want = []int{http.StatusForbidden} // a form without a session
			default:
				want = []int{http.StatusSeeOther}
				to, _, _ := strings.Cut(a.to(), "?")
				require.Equal(t, "/sign-in", to, "%s at %s by %s", name, x.at, x.session)
			}
			require.Contains(t, want, a.StatusCode, "%s at %s by %s", name, x.at, x.session)
			for _, secret := range []string{"ACME", "client@example.test", "owner@example.test"} {
				require.False(t, says(a.body, secret), "%s at %s by %s shows %s", name, x.at, x.session, secret)
			}
		}
	}
	require.Equal(t, before, p.rows())
}
