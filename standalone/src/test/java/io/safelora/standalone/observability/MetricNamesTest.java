package io.safelora.standalone.observability;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MetricNamesTest {
    @Test
    void findsTheMetricsOfAnExpression() {
        assertThat(MetricNames.inPromQl(
                        "sum by (stage, outcome) (rate(a_total{stage=~\"$stage\", x!='b_c'}[$__rate_interval]))"
                                + " / on(stage) group_left() "
                                + "clamp_min(sum(b_seconds_sum offset 5m) without "
                                + "(le), 1e3) > bool 2 or vector(0)"))
                .containsExactly("a_total", "b_seconds_sum");
        assertThat(MetricNames.inPromQl("histogram_quantile(0.95, sum(rate(c_bucket[5m])) by (le))"))
                .containsExactly("c_bucket");
        assertThat(MetricNames.inPromQl("up == 0")).containsExactly("up");
    }

    @Test
    void namesWhatNobodyExports(@TempDir Path dir) throws Exception {
        Path dashboard = Files.writeString(dir.resolve("d.json"), """
                {"panels": [{"targets": [{"expr": "rate(jobs_total[5m])"}, {"expr": "gone_total"}]}],
                 "templating": {"list": [{"query": "label_values(tasks, stage)"}, {"query": {"query": \
                "label_values(old, x)"}}]}}
                """);
        assertThat(MetricNames.missing(List.of(dashboard), "# HELP gone_total x\njobs_total{a=\"b c\"} 1\ntasks 2.0\n"))
                .containsOnlyKeys("gone_total", "old");
    }
}
