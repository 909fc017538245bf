package io.safelora.standalone.embedded;

import static org.assertj.core.api.Assertions.assertThat;

import io.quarkus.test.common.QuarkusTestResource;
import io.quarkus.test.common.http.TestHTTPResource;
import io.quarkus.test.junit.QuarkusTest;
import io.safelora.contract.Topics;
import io.safelora.standalone.observability.DeployedMetrics;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.eclipse.microprofile.config.inject.ConfigProperty;
import org.junit.jupiter.api.Test;

/** The four services in one Quarkus application, on the embedded broker and S3 server. */
@QuarkusTest
@QuarkusTestResource(EmbeddedSystemResource.class)
class ServicesTest {
    @TestHTTPResource("/q")
    URL management;

    @ConfigProperty(name = "kafka.bootstrap.servers")
    String bootstrapServers;

    private HttpResponse<String> get(String path) throws Exception {
        return HttpClient.newHttpClient()
                .send(
                        HttpRequest.newBuilder(URI.create(management + path)).build(),
                        HttpResponse.BodyHandlers.ofString());
    }

    private void awaitReady() throws Exception {
        for (int i = 0; get("/health/ready").statusCode() != 200; i++) {
            assertThat(i).as(get("/health/ready").body()).isLessThan(60);
            Thread.sleep(500);
        }
    }

    @Test
    void theyAreHealthyAndTheirTopicsAreThere() throws Exception {
        awaitReady();
        assertThat(get("/health/live").statusCode()).isEqualTo(200);
        assertThat(get("/health/ready").body()).contains("stages take tasks").contains("Kafka");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrapServers))) {
            assertThat(admin.listTopics().names().get()).containsAll(Topics.ALL);
        }
    }

    @Test
    void metricsOfEveryStageAreThereBeforeTheFirstTask() throws Exception {
        awaitReady();
        String metrics = get("/metrics").body();
        // JobTest may have used the same services: no task of any test ends as released, and no attempt is repeated.
        for (String stage : new String[] {"alignment-analyzer", "layer-selector", "lora-trainer", "evaluator"}) {
            assertThat(metrics)
                    .contains("safelora_tasks_total{outcome=\"released\",stage=\"" + stage + "\"} 0.0")
                    .contains("safelora_task_duration_seconds_count{outcome=\"released\",stage=\"" + stage + "\"} 0")
                    .contains("safelora_tasks_in_progress{stage=\"" + stage + "\"}")
                    .contains("safelora_task_retries_total{stage=\"" + stage + "\"} 0.0")
                    .contains("safelora_dead_letters_total{stage=\"" + stage + "\"}")
                    .contains("safelora_results_reused_total{stage=\"" + stage + "\"}");
        }
    }

    @Test
    void dashboardsAndAlertsAskForMetricsThatAreExported() throws Exception {
        awaitReady();
        assertThat(DeployedMetrics.missingIn(get("/metrics").body())).isEmpty();
    }
}
