package io.safelora.evaluation.report;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;

/**
 * How the training went, of trainer_state.json.
 *
 * @param points the loss by step; of a long training, means over steps that follow each other
 * @param steps how many optimizer steps have a loss
 * @param notFinite how many steps' losses are not numbers: the training diverged
 */
public record TrainingLoss(List<Point> points, int steps, int notFinite, Double first, Double last) {
    private static final int MAX_POINTS = 300;

    /** @param step the last one of those that the loss is the mean of */
    public record Point(int step, double loss) {}

    /** @return null if there is no loss */
    static TrainingLoss of(JsonNode state) {
        List<Point> points = new ArrayList<>();
        int notFinite = 0;
        for (JsonNode entry : state.path("log_history")) {
            // transformers ends the log with a summary that has no loss; it writes NaN as a bare word or a string.
            JsonNode loss = entry.path("loss");
            if (loss.isNumber() && Double.isFinite(loss.asDouble())) {
                points.add(new Point(entry.path("step").asInt(points.size() + 1), loss.asDouble()));
            } else if (!loss.isMissingNode()) {
                notFinite++;
            }
        }
        if (points.isEmpty()) {
            return null;
        }
        return new TrainingLoss(
                means(points),
                points.size(),
                notFinite,
                points.get(0).loss(),
                points.get(points.size() - 1).loss());
    }

    private static List<Point> means(List<Point> points) {
        int each = (points.size() + MAX_POINTS - 1) / MAX_POINTS;
        List<Point> means = new ArrayList<>();
        for (int i = 0; i < points.size(); i += each) {
            List<Point> some = points.subList(i, Math.min(points.size(), i + each));
            means.add(new Point(
                    some.get(some.size() - 1).step(),
                    some.stream().mapToDouble(Point::loss).average().orElseThrow()));
        }
        return means;
    }

    /** How many steps one point stands for. */
    @JsonIgnore
    public int stepsPerPoint() {
        return (steps + MAX_POINTS - 1) / MAX_POINTS;
    }
}
