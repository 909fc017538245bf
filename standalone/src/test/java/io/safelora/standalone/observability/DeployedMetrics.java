package io.safelora.standalone.observability;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** What deploy/ shows and warns of. Tests of the running system hold it against /q/metrics. */
public final class DeployedMetrics {
    public static final List<Path> FILES =
            List.of(Path.of("../deploy/grafana/dashboards/safelora.json"), Path.of("../deploy/prometheus/alerts.yml"));

    private DeployedMetrics() {}

    /** Metrics of deploy/ that {@code scrape}, the answer of /q/metrics, does not have, and who asks for them. */
    public static Map<String, String> missingIn(String scrape) throws IOException {
        return MetricNames.missing(FILES, scrape);
    }
}
