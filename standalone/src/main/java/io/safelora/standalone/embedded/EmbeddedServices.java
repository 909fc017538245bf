package io.safelora.standalone.embedded;

import io.quarkus.runtime.Quarkus;
import io.quarkus.runtime.QuarkusApplication;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** The four services in this JVM: one Quarkus application that has all their stages. At most one at a time. */
public final class EmbeddedServices implements AutoCloseable {
    private static volatile CompletableFuture<Void> started;

    private final Thread thread;

    private EmbeddedServices(Thread thread) {
        this.thread = thread;
    }

    /**
     * Starts Quarkus, and returns when it is up.
     *
     * @param properties what the services are told, {@link EmbeddedSystem#properties()} first of all; they become
     *     system properties, which win over all other configuration
     * @throws IOException if it does not start, for example because its HTTP port is taken
     */
    public static EmbeddedServices start(Map<String, String> properties) throws IOException, InterruptedException {
        properties.forEach(System::setProperty);
        CompletableFuture<Void> up = new CompletableFuture<>();
        started = up;
        Thread thread = new Thread(
                () -> Quarkus.run(App.class, (exitCode, error) -> {
                    if (error != null) {
                        up.completeExceptionally(error);
                    }
                }),
                "quarkus");
        thread.setDaemon(true);
        thread.start();
        try {
            up.get();
        } catch (ExecutionException e) {
            throw new IOException("the services did not start: " + e.getCause().getMessage(), e.getCause());
        }
        return new EmbeddedServices(thread);
    }

    /** Stops the stages and Quarkus, and waits for it. */
    @Override
    public void close() {
        Quarkus.asyncExit();
        try {
            thread.join(60_000);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Runs when Quarkus is up, until it is told to exit. */
    public static final class App implements QuarkusApplication {
        @Override
        public int run(String... args) {
            started.complete(null);
            Quarkus.waitForExit();
            return 0;
        }
    }
}
