//go:build tools

// Package influxd names the programs to build, so that go.mod and go.sum hold all they are made of.
package influxd

import (
	_ "github.com/influxdata/influxdb/v2/cmd/influxd"
	_ "github.com/influxdata/pkg-config"
)
