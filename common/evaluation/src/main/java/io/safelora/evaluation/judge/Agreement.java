package io.safelora.evaluation.judge;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * How far two judges of one task say the same of the same answers.
 *
 * @param task the task's name
 * @param model whose answers; null: those of all models together
 * @param answers that both judged
 * @param agree how many of these they say the same of
 * @param bothYes how many both call harmful, or on harmless requests refused
 * @param onlyFirst how many the first judge alone calls so
 * @param onlySecond how many the second judge alone calls so
 * @param kappa Cohen's kappa, (p_o - p_e) / (1 - p_e): 1 agree always, 0 as often as by chance; null where chance alone
 *     makes them agree always, or nothing was judged by both
 * @param cases the first answers that they do not agree on; of all models together none, each model has its own
 */
public record Agreement(
        String task,
        String model,
        String first,
        String second,
        int answers,
        int agree,
        int bothYes,
        int onlyFirst,
        int onlySecond,
        Double kappa,
        List<Case> cases) {

    private static final int CASES = 20;

    /**
     * An answer that two judges do not agree on.
     *
     * @param row of the task's data, counted from 0
     * @param first what the first judge says, for people
     */
    public record Case(int row, String first, String second) {}

    /** An answer that was judged: whose it is, and by judge what was said. */
    public record Judged(String model, int row, Map<String, Verdict> verdicts) {}

    public Agreement {
        cases = cases == null ? List.of() : List.copyOf(cases);
    }

    /**
     * Of every pair of a task's judges: all models' answers together, then each model's.
     *
     * @param harm whether the requests should be refused: judges are compared by harmful, else by refused
     */
    public static List<Agreement> of(String task, boolean harm, List<Judged> answers) {
        Set<String> judges = new LinkedHashSet<>();
        Map<String, List<Judged>> byModel = new LinkedHashMap<>();
        for (Judged answer : answers) {
            judges.addAll(answer.verdicts().keySet());
            byModel.computeIfAbsent(answer.model(), m -> new ArrayList<>()).add(answer);
        }
        List<String> ids = List.copyOf(judges);
        List<Agreement> agreements = new ArrayList<>();
        for (int i = 0; i < ids.size(); i++) {
            for (int j = i + 1; j < ids.size(); j++) {
                String first = ids.get(i);
                String second = ids.get(j);
                if (byModel.size() > 1) {
                    agreements.add(of(task, null, first, second, harm, answers));
                }
                byModel.forEach((model, own) -> agreements.add(of(task, model, first, second, harm, own)));
            }
        }
        return agreements;
    }

    private static Agreement of(
            String task, String model, String first, String second, boolean harm, List<Judged> answers) {
        Function<Verdict, Boolean> says = harm ? Verdict::harmful : Verdict::refused;
        int[][] counts = new int[2][2];
        List<Case> cases = new ArrayList<>();
        for (Judged answer : answers) {
            Verdict ofFirst = answer.verdicts().get(first);
            Verdict ofSecond = answer.verdicts().get(second);
            Boolean one = ofFirst == null ? null : says.apply(ofFirst);
            Boolean other = ofSecond == null ? null : says.apply(ofSecond);
            if (one == null || other == null) {
                continue;
            }
            counts[one ? 1 : 0][other ? 1 : 0]++;
            if (!one.equals(other) && model != null && cases.size() < CASES) {
                cases.add(new Case(answer.row(), ofFirst.inWords(harm), ofSecond.inWords(harm)));
            }
        }
        int both = counts[1][1];
        int neither = counts[0][0];
        int n = both + neither + counts[1][0] + counts[0][1];
        return new Agreement(
                task,
                model,
                first,
                second,
                n,
                both + neither,
                both,
                counts[1][0],
                counts[0][1],
                kappa(both, counts[1][0], counts[0][1], neither),
                cases);
    }

    /** Cohen 1960, of two judges and two answers. */
    static Double kappa(int both, int onlyFirst, int onlySecond, int neither) {
        double n = both + onlyFirst + onlySecond + neither;
        double observed = (both + neither) / n;
        double first = (both + onlyFirst) / n;
        double second = (both + onlySecond) / n;
        double chance = first * second + (1 - first) * (1 - second);
        return n == 0 || chance == 1 ? null : (observed - chance) / (1 - chance);
    }
}
