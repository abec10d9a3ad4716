package auth

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/prosaas/receipts/proto"
)

// Role is what a principal may do.
type Role string

// The roles. Each of the first three may do what those before it may;
// system_admin stands beside them.
const (
	RoleMember      Role = "member"       // reads, syncs, cancels, edits
	RoleAdmin       Role = "admin"        // also deletes, restores, exports, changes settings
	RoleOwner       Role = "owner"        // also connects, disconnects, erases
	RoleSystemAdmin Role = "system_admin" // alone has the operations of the queue
)

// rank orders the roles within a business. In one that its token names a
// system_admin may do what the owner may.
func (r Role) rank() int {
	switch r {
	case RoleMember:
		return 1
	case RoleAdmin:
		return 2
	case RoleOwner, RoleSystemAdmin:
		return 3
	default:
		return 0
	}
}

// Principal is who calls, as a verified token tells it.
type Principal struct {
	Subject    string // the person, by an id of the product that issued the token
	BusinessID string // the tenant, as proto.ValidID has it; empty only for a system_admin
	Role       Role
}

// Can tells whether the principal may do what needs the role. What needs
// member, admin or owner is done to a business, so that whoever has none can't;
// what needs system_admin is done to the queue.
func (p Principal) Can(need Role) bool {
	if need == RoleSystemAdmin {
		return p.Role == RoleSystemAdmin
	}
	return p.BusinessID != "" && need.rank() > 0 && p.Role.rank() >= need.rank()
}

const maxSubject = 255 // bytes

// principal reads the claims of a token whose signature is proved.
func (o Options) principal(payload []byte) (Principal, error) {
	token := jwt.New()
	if err := json.Unmarshal(payload, token); err != nil {
		return Principal{}, fmt.Errorf("%w: claims: %w", ErrInvalid, err)
	}
	if err := o.validate(token); err != nil {
		return Principal{}, err
	}
	// A map, since a struct would match names in any case and jwt.Token reads
	// numbers as floats, which round long ids.
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Principal{}, fmt.Errorf("%w: claims: %w", ErrInvalid, err)
	}

	p := Principal{Subject: token.Subject()}
	if len(p.Subject) > maxSubject {
		return Principal{}, fmt.Errorf("%w: sub is longer than %d bytes", ErrInvalid, maxSubject)
	}
	if err := json.Unmarshal(claims["role"], &p.Role); err != nil || p.Role.rank() == 0 {
		return Principal{}, fmt.Errorf("%w: no known role", ErrInvalid)
	}
	business, ok := claims["business_id"]
	if !ok || string(business) == "null" {
		if p.Role != RoleSystemAdmin {
			return Principal{}, fmt.Errorf("%w: no business_id", ErrInvalid)
		}
		return p, nil
	}
	if p.BusinessID, ok = normalID(business); !ok {
		return Principal{}, fmt.Errorf("%w: business_id is no id", ErrInvalid)
	}
	return p, nil
}

// validate checks the registered claims. jwx takes a token without exp, or with
// exp 0, for one that never expires; here neither passes.
func (o Options) validate(token jwt.Token) error {
	if _, ok := token.Get(jwt.ExpirationKey); !ok {
		return fmt.Errorf("%w: no exp", ErrInvalid)
	}
	if !o.now().Before(token.Expiration().Add(skew)) {
		return ErrExpired
	}
	checks := []jwt.ValidateOption{jwt.WithClock(jwt.ClockFunc(o.now)), jwt.WithAcceptableSkew(skew)}
	if o.Issuer != "" {
		checks = append(checks, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		checks = append(checks, jwt.WithAudience(o.Audience))
	}
	if err := jwt.Validate(token, checks...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

var wholeNumber = regexp.MustCompile(`^[0-9]+$`)

// normalID makes one string of a claim that is a string or a whole number, so
// that 42 and "42" are one business.
func normalID(claim json.RawMessage) (string, bool) {
	id := string(claim)
	if !wholeNumber.MatchString(id) {
		if err := json.Unmarshal(claim, &id); err != nil {
			return "", false
		}
	}
	return id, proto.ValidID(id)
}

// Sign makes the token of a principal, good for ttl from opts.Now on, which
// [NewSecretVerifier] with the same secret and options takes.
func Sign(secret []byte, p Principal, ttl time.Duration, opts Options) (string, error) {
	now := opts.now()
	claims := jwt.NewBuilder().Subject(p.Subject).Claim("role", p.Role).IssuedAt(now).Expiration(now.Add(ttl))
	if p.BusinessID != "" {
		claims.Claim("business_id", p.BusinessID)
	}
	if opts.Issuer != "" {
		claims.Issuer(opts.Issuer)
	}
	if opts.Audience != "" {
		claims.Audience([]string{opts.Audience})
	}
	token, err := claims.Build()
	if err != nil {
		return "", fmt.Errorf("sign token of business %s: %w", p.BusinessID, err)
	}
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.HS256, secret))
	if err != nil {
		return "", fmt.Errorf("sign token of business %s: %w", p.BusinessID, err)
	}
	return string(signed), nil
}
