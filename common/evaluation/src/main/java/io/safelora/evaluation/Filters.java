package io.safelora.evaluation;

import io.safelora.contract.InvalidJobException;
import io.safelora.contract.TaskFile.Filter;
import io.safelora.contract.TaskFile.FilterFunction;
import io.safelora.contract.TaskFile.NamedFilter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.UnaryOperator;

/** A task's filters, as lm-evaluation-harness has them: each takes from an answer what is counted. */
final class Filters {
    private static final String INVALID = "[invalid]";

    private Filters() {}

    /**
     * By name, in the file's order.
     *
     * @throws InvalidJobException naming the field, if an expression is not one
     */
    static Map<String, UnaryOperator<String>> of(List<NamedFilter> filters) {
        Map<String, UnaryOperator<String>> all = new LinkedHashMap<>();
        for (int i = 0; i < filters.size(); i++) {
            List<UnaryOperator<String>> steps = new ArrayList<>();
            for (int j = 0; j < filters.get(i).filter().size(); j++) {
                try {
                    steps.add(of(filters.get(i).filter().get(j)));
                } catch (InvalidJobException e) {
                    throw new InvalidJobException(
                            "filter_list[" + i + "].filter[" + j + "].regex_pattern: " + e.getMessage(), e);
                }
            }
            all.put(filters.get(i).name(), answer -> {
                String taken = answer;
                for (UnaryOperator<String> step : steps) {
                    taken = step.apply(taken);
                }
                return taken;
            });
        }
        return all;
    }

    private static UnaryOperator<String> of(Filter filter) {
        FilterFunction function = filter.function();
        return switch (function) {
            case regex -> regex(filter);
            // There is one answer to a prompt.
            case take_first -> UnaryOperator.identity();
            case remove_whitespace -> String::strip;
            case lowercase -> answer -> answer.toLowerCase(Locale.ROOT);
            case uppercase -> answer -> answer.toUpperCase(Locale.ROOT);
        };
    }

    /** One match, and of its groups the first that took part. */
    private static UnaryOperator<String> regex(Filter filter) {
        PythonRegex regex = PythonRegex.of(filter.regexPattern());
        int select = filter.groupSelect() == null ? 0 : filter.groupSelect();
        String fallback = filter.fallback() == null ? INVALID : filter.fallback();
        return answer -> {
            List<List<String>> matches = regex.findAll(answer);
            int at = select < 0 ? matches.size() + select : select;
            if (at < 0 || at >= matches.size()) {
                return fallback;
            }
            List<String> groups = matches.get(at);
            String taken = groups.size() == 1
                    ? groups.get(0)
                    : groups.stream()
                            .filter(group -> !group.isEmpty())
                            .findFirst()
                            .orElse(fallback);
            return taken.strip();
        };
    }
}
