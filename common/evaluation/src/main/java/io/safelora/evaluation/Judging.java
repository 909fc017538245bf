package io.safelora.evaluation;

import io.safelora.evaluation.Evaluation.Listener;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.judge.Agreement;
import io.safelora.evaluation.judge.Agreement.Judged;
import io.safelora.evaluation.judge.Exchange;
import io.safelora.evaluation.judge.Judge;
import io.safelora.evaluation.judge.Judges;
import io.safelora.evaluation.judge.Verdict;
import io.safelora.evaluation.statistics.RowValues;
import java.io.IOException;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Judges answers once the models that gave them are out of memory: a judge may be as large as they are. */
public final class Judging {
    private Judging() {}

    /** A judged task's answers, all models'. */
    private record Answers(Task task, List<Sample> samples) {}

    /**
     * Adds verdicts, the scores that follow from them, and how far the judges agree.
     *
     * @param answered a result of these tasks, without verdicts
     * @throws IOException if a judge cannot be asked now
     */
    public static Result of(Result answered, List<Task> tasks, Judges judges, Listener listener) throws IOException {
        List<Answers> judged = answers(answered, tasks);
        Set<String> ids = new LinkedHashSet<>();
        judged.forEach(of -> ids.addAll(of.task().judges()));
        Map<Sample, Map<String, Verdict>> verdicts = new IdentityHashMap<>();
        Map<String, Double> seconds = new LinkedHashMap<>(answered.seconds());
        int opened = 0;
        for (String id : ids) {
            List<Sample> samples = judged.stream()
                    .filter(of -> of.task().judges().contains(id))
                    .flatMap(of -> of.samples().stream())
                    .toList();
            double before = (double) opened++ / ids.size();
            long began = System.nanoTime();
            try (Judge judge = judges.open(id)) {
                // A judge of language can be fooled by what is none.
                List<Sample> asked = samples.stream()
                        .filter(s -> !Degenerate.is(s.response()))
                        .toList();
                samples.forEach(s ->
                        verdicts.computeIfAbsent(s, v -> new LinkedHashMap<>()).put(id, Verdict.degenerate(id)));
                List<Verdict> said = judge.verdicts(
                        asked.stream()
                                .map(s -> new Exchange(s.request(), s.response()))
                                .toList(),
                        done -> listener.at(
                                before + (double) done / asked.size() / ids.size(),
                                id + " judges " + done + " of " + asked.size() + " answers"));
                for (int i = 0; i < asked.size(); i++) {
                    verdicts.get(asked.get(i)).put(id, said.get(i));
                }
            }
            seconds.put(id + " judges", (System.nanoTime() - began) / 1e9);
        }
        return result(answered, tasks, judged, verdicts, seconds);
    }

    private static Result result(
            Result answered,
            List<Task> tasks,
            List<Answers> judged,
            Map<Sample, Map<String, Verdict>> verdicts,
            Map<String, Double> seconds) {
        List<String> warnings = new ArrayList<>(answered.warnings());
        List<RowValues> rows = new ArrayList<>();
        List<Agreement> agreements = new ArrayList<>();
        Map<Sample, Sample> whole = new IdentityHashMap<>();
        for (Task task : tasks) {
            if (task.judges().isEmpty()) {
                answered.rows().stream()
                        .filter(r -> r.task().equals(task.name()))
                        .filter(r -> !rows.contains(r))
                        .forEach(rows::add);
            }
            for (Answers of : judged) {
                if (of.task() != task) {
                    continue;
                }
                Map<String, List<Sample>> byModel = new LinkedHashMap<>();
                for (Sample sample : of.samples()) {
                    whole.put(sample, Scores.judged(task, sample, verdicts.get(sample)));
                    byModel.computeIfAbsent(sample.model(), m -> new ArrayList<>())
                            .add(whole.get(sample));
                }
                byModel.forEach((model, samples) -> rows.addAll(Scores.of(model, task, samples, warnings)));
                agreements.addAll(Agreement.of(
                        task.name(),
                        task.countsHarm(),
                        of.samples().stream()
                                .map(s -> new Judged(s.model(), s.row(), verdicts.get(s)))
                                .toList()));
            }
        }
        return Result.of(
                rows,
                answered.samples().stream().map(s -> whole.getOrDefault(s, s)).toList(),
                agreements,
                seconds,
                warnings);
    }

    /**
     * Which answers are of which task: two may be of the same kind, and then every model has the rows of the first one
     * first.
     */
    private static List<Answers> answers(Result answered, List<Task> tasks) {
        Map<String, Integer> begun = new LinkedHashMap<>();
        Map<String, List<List<Sample>>> byKind = new LinkedHashMap<>();
        for (Sample sample : answered.samples()) {
            String of = sample.model() + " " + sample.task();
            if (sample.row() == 0) {
                begun.merge(of, 1, Integer::sum);
            }
            List<List<Sample>> kind = byKind.computeIfAbsent(sample.task(), t -> new ArrayList<>());
            while (kind.size() < begun.get(of)) {
                kind.add(new ArrayList<>());
            }
            kind.get(begun.get(of) - 1).add(sample);
        }
        List<Answers> judged = new ArrayList<>();
        Map<String, Integer> taken = new LinkedHashMap<>();
        for (Task task : tasks) {
            if (!task.judges().isEmpty()) {
                int at = taken.merge(task.name(), 1, Integer::sum) - 1;
                judged.add(new Answers(task, byKind.get(task.name()).get(at)));
            }
        }
        return judged;
    }
}
