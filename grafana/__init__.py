"""Dashboards for Grafana over InfluxDB and Prometheus, written by `make dashboards` into `grafana/dashboards`."""
