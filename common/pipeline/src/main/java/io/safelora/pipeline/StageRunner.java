package io.safelora.pipeline;

import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobCancelled;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Topics;
import io.safelora.pipeline.Metrics.Outcome;
import io.safelora.pipeline.Runs.IdTakenException;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.KafkaException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;

/**
 * Runs the stages of one service: takes a record, validates it, runs the stage, publishes its answer, and tells of
 * every end. Delivery is at least once: an answer is published before its record is acknowledged, so that a crash in
 * between repeats it and loses nothing.
 */
final class StageRunner implements WorkQueue.Worker {
    private static final Logger LOG = LoggerFactory.getLogger(StageRunner.class);
    private static final long MAX_BACKOFF_MS = 60_000;

    private final String name;
    private final Map<Class<?>, Stage<?>> stages = new LinkedHashMap<>();
    private final PipelineConfig config;
    private final ArtifactStore store;
    private final Publisher publisher;
    private final Cancellations cancellations;
    private final Metrics metrics;
    private final Runs runs;
    private volatile Event currentEvent;
    private volatile Claim currentClaim;

    /** @param stages stages of one name, each with an input type of its own */
    StageRunner(
            String name,
            List<Stage<?>> stages,
            PipelineConfig config,
            ArtifactStore store,
            Publisher publisher,
            Cancellations cancellations,
            MeterRegistry registry) {
        this.name = name;
        stages.forEach(stage -> this.stages.put(stage.input(), stage));
        this.config = config;
        this.store = store;
        this.runs = new Runs(store, config.artifactsUri());
        this.publisher = publisher;
        this.cancellations = cancellations;
        this.metrics = new Metrics(registry, name);
        cancellations.onCancel(this::cancel);
    }

    /** The share group of a stage's workers. */
    static String group(String stage) {
        return "safelora-" + stage;
    }

    /** Where its tasks come from. */
    Set<String> topics() {
        return stages.keySet().stream().map(type -> Topics.of(type).topic()).collect(Collectors.toSet());
    }

    private void cancel() {
        Claim claim = currentClaim;
        Event event = currentEvent;
        if (claim != null && event != null && cancellations.contains(event)) {
            claim.stop(TaskStopped.Why.CANCELLED);
        }
    }

    @Override
    public AcknowledgeType work(ConsumerRecord<byte[], byte[]> record, Claim claim) {
        long started = System.nanoTime();
        metrics.inProgress.incrementAndGet();
        Outcome outcome = Outcome.released;
        try {
            Event event;
            try {
                event = EventCodec.read(record);
            } catch (IllegalArgumentException e) {
                outcome = Outcome.failed;
                return unreadable(record, e);
            }
            Stage<?> stage = stages.get(event.type().data());
            if (stage == null) {
                // adapters carries two types of event, each for another group.
                outcome = null;
                return AcknowledgeType.ACCEPT;
            }
            MDC.put("job", event.jobId());
            currentEvent = event;
            currentClaim = claim;
            outcome = run(stage, event, record, claim);
            return switch (outcome) {
                case succeeded, cancelled -> AcknowledgeType.ACCEPT;
                case failed -> AcknowledgeType.REJECT;
                case released -> AcknowledgeType.RELEASE;
            };
        } catch (KafkaException e) {
            LOG.warn("{}: what became of the task cannot be published: {}; it is released", name, e.toString());
            outcome = Outcome.released;
            return AcknowledgeType.RELEASE;
        } finally {
            currentClaim = null;
            currentEvent = null;
            MDC.remove("job");
            metrics.inProgress.decrementAndGet();
            if (outcome != null) {
                metrics.ended(outcome, System.nanoTime() - started);
            }
        }
    }

    private <I> Outcome run(Stage<I> stage, Event received, ConsumerRecord<byte[], byte[]> record, Claim claim) {
        Event event = received;
        try {
            event = retried(received, claim, attempt -> admitted(received));
            currentEvent = event;
            int deliveries = record.deliveryCount().map(Short::intValue).orElse(1);
            if (deliveries >= config.task().maxDeliveries()) {
                throw new PermanentFailure(
                        "given up after " + deliveries
                                + " workers took the task and none finished it; look for killed or out-of-memory "
                                + name + " processes",
                        null);
            }
            Event task = event;
            JobEvent answer = retried(task, claim, attempt -> attempt(stage, task, claim, attempt));
            if (answer != null) {
                publisher.publish(event, name, answer);
            }
            if (answer instanceof EvaluationCompleted) {
                end(event, State.SUCCEEDED, null);
            }
            return Outcome.succeeded;
        } catch (TaskStopped e) {
            if (e.why() == TaskStopped.Why.CANCELLED) {
                end(event, State.CANCELLED, null);
                LOG.info("{}: job {} was cancelled", name, event.jobId());
                return Outcome.cancelled;
            }
            if (e.why() == TaskStopped.Why.REPLACED) {
                LOG.info("{}: run {} of job {} was replaced by a later one", name, event.run(), event.jobId());
                return Outcome.cancelled;
            }
            LOG.info("{}: the task of job {} is left to another worker ({})", name, event.jobId(), e.why());
            return Outcome.released;
        } catch (PermanentFailure e) {
            LOG.error(
                    "{}: job {} failed: {}",
                    name,
                    event.jobId(),
                    e.getMessage(),
                    e.getCause() instanceof InvalidInputException ? null : e.getCause());
            deadLetter(record, e.getMessage(), e.getCause());
            if (!(e.getCause() instanceof IdTakenException)) {
                end(event, State.FAILED, e.getMessage());
            }
            return Outcome.failed;
        }
    }

    /** The event with the run it belongs to, if its job is still that one. */
    private Event admitted(Event event) throws IOException {
        if (event.data() instanceof JobRequest) {
            return event.ofRun(runs.claim(
                    event,
                    replaced -> publisher.publish(
                            event, name, new JobCancelled("replaced by run " + event.run(), replaced))));
        }
        if (runs.isReplaced(event)) {
            throw new TaskStopped(TaskStopped.Why.REPLACED);
        }
        return event;
    }

    private <I> JobEvent attempt(Stage<I> stage, Event event, Claim claim, int attempt) throws Exception {
        if (cancellations.contains(event)) {
            claim.stop(TaskStopped.Why.CANCELLED);
        }
        claim.check();
        publisher.running(event, name, 0.0, null, attempt == 1 ? "started" : "attempt " + attempt, null);
        try (Workspace workspace = new Workspace(event, name, config, store, publisher, metrics, claim)) {
            return stage.run(stage.input().cast(event.data()), workspace);
        }
    }

    /** One attempt, counted from 1, at something that may fail in passing. */
    private interface Attempt<T> {
        T at(int attempt) throws Exception;
    }

    /** Tries until it ends well, fails for good, or is stopped. */
    private <T> T retried(Event event, Claim claim, Attempt<T> body) throws PermanentFailure {
        for (int attempt = 1; ; attempt++) {
            claim.check();
            try {
                return body.at(attempt);
            } catch (TaskStopped e) {
                throw e;
            } catch (InvalidInputException e) {
                throw new PermanentFailure(e.getMessage() == null ? e.toString() : e.getMessage(), e);
            } catch (Exception | OutOfMemoryError | LinkageError e) {
                // A stage that is stopped may come out of its libraries with any exception.
                claim.check();
                if (attempt >= config.task().attempts()) {
                    throw new PermanentFailure("failed " + attempt + " times, the last time with " + describe(e), e);
                }
                LOG.warn("{}: attempt {} at job {} failed, and is repeated", name, attempt, event.jobId(), e);
                metrics.retries.increment();
                pause(attempt, claim);
            }
        }
    }

    private void pause(int attempt, Claim claim) {
        long ms = Math.min(MAX_BACKOFF_MS, config.task().backoff().toMillis() << Math.min(attempt - 1, 20));
        // Up to a quarter less, so that workers who failed together do not come back together.
        long until = System.nanoTime() + (long) (ms * 1e6 * (1 - Math.random() / 4));
        try {
            while (System.nanoTime() < until) {
                claim.check();
                Thread.sleep(Math.min(200, Math.max(1, (until - System.nanoTime()) / 1_000_000)));
            }
        } catch (InterruptedException e) {
            throw new TaskStopped(TaskStopped.Why.CLOSING);
        }
    }

    /** Publishes the job's end, unless the job is another run by now: its state is that run's. */
    private void end(Event event, State state, String error) {
        try {
            if (runs.isReplaced(event)) {
                LOG.info("{}: run {} of job {} ends as {}, and was replaced", name, event.run(), event.jobId(), state);
                return;
            }
        } catch (IOException | RuntimeException e) {
            LOG.warn("{}: whether job {} was replaced cannot be seen: {}", name, event.jobId(), e.toString());
        }
        publisher.end(event, name, state, error);
    }

    /**
     * A record that cannot be read goes to the dead letters. It is the failure of a job only if it is that job's: a
     * request under an id that stands for nothing yet, or an event that names the run that the id stands for.
     */
    private AcknowledgeType unreadable(ConsumerRecord<byte[], byte[]> record, IllegalArgumentException why) {
        String at = WorkQueue.at(record);
        deadLetter(record, why.getMessage(), why);
        Optional<String> owner = EventCodec.owner(record);
        boolean request = record.topic().equals(Topics.JOBS);
        String run = request ? EventCodec.run(record) : EventCodec.runHeader(record);
        boolean own = false;
        try {
            if (owner.isPresent()) {
                Optional<String> now = runs.find(owner.get()).map(Runs.Run::run);
                own = request ? now.isEmpty() : now.isPresent() && now.get().equals(run);
            }
        } catch (IOException | RuntimeException e) {
            LOG.warn("{}: what job {} is cannot be seen: {}", name, owner.get(), e.toString());
        }
        if (own) {
            LOG.error("{}: job {} failed: {} is refused: {}", name, owner.get(), at, why.getMessage());
            publisher.refused(owner.get(), run, name, why.getMessage(), EventCodec.trace(record));
        } else {
            LOG.error("{}: {} is refused; it belongs to no job: {}", name, at, why.getMessage());
        }
        return AcknowledgeType.REJECT;
    }

    private void deadLetter(ConsumerRecord<byte[], byte[]> record, String reason, Throwable cause) {
        publisher.deadLetter(Topics.DEAD_LETTERS, record, name, reason, cause);
        metrics.deadLetters.increment();
    }

    private static String describe(Throwable e) {
        String message = e.getMessage() == null
                ? ""
                : ": " + e.getMessage().lines().findFirst().orElse("");
        return e.getClass().getSimpleName() + message;
    }

    private static final class PermanentFailure extends Exception {
        PermanentFailure(String message, Throwable cause) {
            super(message, cause);
        }
    }
}
