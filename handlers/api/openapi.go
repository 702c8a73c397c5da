package api

import (
	"bytes"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
)

func body(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

func humaConfig(baseURL string) huma.Config {
	cfg := huma.DefaultConfig("Refill", "1")
	cfg.CreateHooks = nil                                       // no $schema in answers
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", "" // served by document
	cfg.Formats = map[string]huma.Format{echo.MIMEApplicationJSON: huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	cfg.DefaultFormat = echo.MIMEApplicationJSON
	cfg.OpenAPI.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	if baseURL != "" {
		cfg.Servers = []*huma.Server{{URL: baseURL}}
	}
	return cfg
}

func (a *api) reading() {
	a.wallets()
	a.charges()
	a.usage()
	a.agencies()
	a.subAccounts()
	a.transfers()
	a.purchases()
	a.catalogue()
}

func (a *api) document() error {
	text, err := a.huma.OpenAPI().MarshalJSON()
	if err != nil {
		return err
	}
	a.doc = text
	a.routes = append(a.routes, Route{http.MethodGet, "/v1/openapi.json", Anyone})
	a.echo.GET("/v1/openapi.json", func(c echo.Context) error {
		write(c, http.StatusOK, echo.MIMEApplicationJSON, a.doc)
		return nil
	})
	return nil
}
