// An upstream behind Countersign: who is calling, from the signed assertion.
//
//	PORT=8000 JWKS_URL=http://127.0.0.1:9090/.well-known/jwks.json AUDIENCE=usage-api ISSUER=countersign go run .
//
// With a shared secret (HS256): SECRET_FILE=/etc/countersign/assertion.secret instead of JWKS_URL.
// Optional: HEADER (default x-auth-assertion); BIND=method,target,authority where the proxy is configured to bind:
// an assertion that is not bound to that is then refused.
// Every request is answered with the identity as JSON, or with 401.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type claims struct {
	jwt.RegisteredClaims
	Anonymous bool            `json:"anonymous,omitempty"`
	Idp       string          `json:"idp,omitempty"`
	ClientID  string          `json:"client_id,omitempty"`
	Caller    string          `json:"caller,omitempty"`
	Account   string          `json:"account,omitempty"`
	Scope     string          `json:"scope,omitempty"`
	Act       json.RawMessage `json:"act,omitempty"`
	Req       *bound          `json:"req,omitempty"`
}

type bound struct {
	Method    *string            `json:"method"`
	Target    *string            `json:"target"`
	Authority *string            `json:"authority"`
	Headers   map[string]*string `json:"headers"`
}

// keySet fetches the published keys when a kid is not held, at most every five seconds, and at least every five minutes.
type keySet struct {
	url     string
	mutex   sync.Mutex
	keys    map[string]any
	fetched time.Time
}

func (set *keySet) find(kid string) (any, error) {
	set.mutex.Lock()
	defer set.mutex.Unlock()
	key, held := set.keys[kid]
	age := time.Since(set.fetched)
	if (!held && age > 5*time.Second) || age > 5*time.Minute {
		set.fetched = time.Now()
		if err := set.fetch(); err != nil && !held {
			return nil, err
		}
		key, held = set.keys[kid]
	}
	if !held {
		return nil, errors.New("unknown kid")
	}
	return key, nil
}

func (set *keySet) fetch() error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(set.url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("key set: %s", response.Status)
	}
	var document struct {
		Keys []struct{ Kty, Crv, Kid, X, Y string }
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 256<<10)).Decode(&document); err != nil {
		return err
	}
	keys := map[string]any{}
	for _, jwk := range document.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(jwk.X)
		y, errY := base64.RawURLEncoding.DecodeString(jwk.Y)
		switch {
		case errX != nil || errY != nil:
		case jwk.Kty == "EC" && jwk.Crv == "P-256":
			key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
			if _, err := key.ECDH(); err == nil { // on the curve
				keys[jwk.Kid] = key
			}
		case jwk.Kty == "OKP" && jwk.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize:
			keys[jwk.Kid] = ed25519.PublicKey(x)
		}
	}
	set.keys = keys
	return nil
}

type verifier struct {
	header string
	bind   []string
	parser *jwt.Parser
	key    jwt.Keyfunc
}

func newVerifier() (*verifier, error) {
	// Never HS256 with published keys: a public key must not be taken for a shared secret.
	algorithms := []string{"ES256", "EdDSA"}
	set := &keySet{url: os.Getenv("JWKS_URL")}
	key := func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		return set.find(kid)
	}
	if path := os.Getenv("SECRET_FILE"); path != "" {
		secret, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		secret = bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r"))
		algorithms = []string{"HS256"}
		key = func(*jwt.Token) (any, error) { return secret, nil }
	}
	audience, issuer := os.Getenv("AUDIENCE"), os.Getenv("ISSUER")
	if audience == "" || issuer == "" {
		return nil, errors.New("set AUDIENCE and ISSUER")
	}
	header := os.Getenv("HEADER")
	if header == "" {
		header = "x-auth-assertion"
	}
	return &verifier{
		header: header,
		bind:   strings.FieldsFunc(os.Getenv("BIND"), func(r rune) bool { return r == ',' }),
		key:    key,
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithAudience(audience), jwt.WithIssuer(issuer),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(5*time.Second)),
	}, nil
}

func (v *verifier) identity(request *http.Request) (*claims, error) {
	values := request.Header.Values(v.header)
	if len(values) != 1 {
		return nil, errors.New("no assertion, or more than one")
	}
	found := &claims{}
	token, err := v.parser.ParseWithClaims(values[0], found, v.key)
	if err != nil {
		return nil, err
	}
	if token.Header["typ"] != "countersign+jwt" {
		return nil, errors.New("not an assertion")
	}
	return found, v.boundToThisRequest(found.Req, request)
}

// boundToThisRequest: what the assertion is bound to must be what arrived, byte for byte.
func (v *verifier) boundToThisRequest(bound *bound, request *http.Request) error {
	if bound == nil {
		if len(v.bind) > 0 {
			return errors.New("not bound to a request")
		}
		return nil
	}
	signed := map[string]*string{"method": bound.Method, "target": bound.Target, "authority": bound.Authority}
	arrived := map[string]string{"method": request.Method, "target": request.RequestURI, "authority": request.Host}
	for _, part := range v.bind {
		if signed[part] == nil {
			return fmt.Errorf("not bound to the %s", part)
		}
	}
	for part, value := range signed {
		if value != nil && *value != arrived[part] {
			return fmt.Errorf("made for another %s", part)
		}
	}
	if bound.Headers == nil {
		return errors.New("not bound to the headers")
	}
	for name, value := range bound.Headers {
		there := request.Header.Values(name)
		same := (value == nil && len(there) == 0) || (value != nil && len(there) == 1 && there[0] == *value)
		if !same {
			return fmt.Errorf("%s is not the one that was signed", name)
		}
	}
	return nil
}

func (v *verifier) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	status := http.StatusOK
	var body any
	found, err := v.identity(request)
	switch {
	case err != nil:
		status, body = http.StatusUnauthorized, map[string]string{"error": err.Error()}
	case found.Anonymous:
		body = map[string]bool{"anonymous": true}
	default:
		answer := map[string]any{"anonymous": false}
		for name, value := range map[string]string{"sub": found.Subject, "idp": found.Idp, "client_id": found.ClientID,
			"caller": found.Caller, "account": found.Account, "scope": found.Scope} {
			if value != "" {
				answer[name] = value
			}
		}
		if found.Act != nil {
			answer["act"] = found.Act
		}
		body = answer
	}
	response.Header().Set("content-type", "application/json")
	response.WriteHeader(status)
	_ = json.NewEncoder(response).Encode(body)
}

func main() {
	handler, err := newVerifier()
	if err != nil {
		log.Fatal(err)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8000"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %d\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, handler))
}
