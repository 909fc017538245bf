package io.safelora.method;

import io.safelora.contract.SelectionOptions;
import io.safelora.method.Selection.Candidate;
import io.safelora.method.Sweep.Point;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Repairing what was fine-tuned: its updates are measured, modules are chosen, their updates repaired, and what was
 * done is reported. One object repairs one adapter or checkpoint in many ways, and measures by each projector once.
 */
public final class Repairing {
    /**
     * Raised whenever the same repair of the same update gives another result than before: results are kept under it.
     */
    public static final int VERSION = 4;

    private final FineTuned tuned;
    private final Map<SelectionOptions, List<ModuleMeasure>> measured = new HashMap<>();
    private Outside outside;

    public Repairing(FineTuned tuned) {
        this.tuned = tuned;
    }

    /**
     * Measures, chooses, repairs and reports.
     *
     * @param options one repair, without sweep
     * @param out the directory to write: an adapter or checkpoint, with selection.json
     * @throws io.safelora.artifacts.InvalidArtifactException if the checkpoints do not fit each other or what was
     *     fine-tuned, hold NaN, or base and aligned are identical
     * @throws IllegalArgumentException if {@code out} is an input, or holds another checkpoint's weights
     */
    public SelectionReport run(SelectionOptions options, Path out, Progress progress) throws IOException {
        tuned.checkOutput(out);
        List<ModuleMeasure> measures = measured(options, progress);
        Set<String> selected = Selection.select(Candidate.of(measures), options);
        SelectionReport report = repair(measures, selected, options, out, progress);
        progress.at(1, report.selected().size() + " of " + measures.size() + " modules repaired");
        return report;
    }

    /** The same without repairing: measures, chooses and reports. */
    public SelectionReport select(SelectionOptions options, Progress progress) {
        List<ModuleMeasure> measures = measured(options, progress);
        Set<String> selected = Selection.select(Candidate.of(measures), options);
        return report(measures, Selection.affected(tuned.modules(), selected, options), options);
    }

    /** Chooses the modules of every repair of a sweep. */
    public List<Point> sweep(SelectionOptions options, Progress progress) {
        List<Point> points = new ArrayList<>();
        Sweep.points(options).forEach((name, point) -> {
            Set<String> selected = Selection.select(Candidate.of(measured(Sweep.measuredBy(point), progress)), point);
            points.add(new Point(name, point, Selection.affected(tuned.modules(), selected, point)));
        });
        return points;
    }

    /** Repairs the modules that were chosen before, and reports. */
    public SelectionReport repair(Point point, Path out, Progress progress) throws IOException {
        return repair(
                measured(Sweep.measuredBy(point.options()), progress),
                point.selected(),
                point.options(),
                out,
                progress);
    }

    private SelectionReport repair(
            List<ModuleMeasure> measures, Set<String> selected, SelectionOptions options, Path out, Progress progress)
            throws IOException {
        Set<String> affected = Selection.affected(tuned.modules(), selected, options);
        tuned.repair(measures, affected, options, out, progress);
        SelectionReport report = report(measures, affected, options);
        report.write(out);
        return report;
    }

    private SelectionReport report(List<ModuleMeasure> measures, Set<String> selected, SelectionOptions options) {
        Sources sources = tuned.sources();
        if (outside == null) {
            outside = tuned.outside();
        }
        return SelectionReport.of(
                sources.base(), sources.aligned(), measures, selected, options, tuned.carried(), outside);
    }

    private List<ModuleMeasure> measured(SelectionOptions options, Progress progress) {
        return measured.computeIfAbsent(options, by -> tuned.measure(by, progress));
    }
}
