package io.safelora.evaluation;

import io.safelora.contract.EvaluationTask;
import io.safelora.contract.InvalidJobException;
import io.safelora.evaluation.Task.Download;
import java.io.IOException;
import java.nio.file.Path;

/**
 * A task, with its data on this machine.
 *
 * @param fewshotData null: there are no examples, or the task's file has them
 */
public record LocalTask(Task task, Path data, Path fewshotData) {
    /**
     * Brings a task's file and its data here.
     *
     * @throws InvalidJobException if the task is not one, or an option is not of it
     */
    public static LocalTask of(EvaluationTask options, Download download) throws IOException {
        Task task = Task.of(options, download);
        return new LocalTask(
                task,
                download.of(options.data()),
                options.fewshotData() == null ? null : download.of(options.fewshotData()));
    }
}
