package io.safelora.evaluation.report;

import io.safelora.evaluation.report.Modules.Module;
import io.safelora.evaluation.report.Modules.Spread;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * A value of every module as a colour: layers from left to right, kinds of modules from top to bottom.
 *
 * @param key tells the picture's ids from those of other pictures
 * @param cells one for each module that has a value
 * @param rows the kinds' names
 * @param columns numbers of some layers, as many as have room
 * @param hiddenKinds how many kinds have no room
 */
public record HeatMap(
        String key,
        double width,
        double height,
        List<Cell> cells,
        List<Text> rows,
        List<Text> columns,
        Spread spread,
        int hiddenKinds) {
    static final double WIDTH = 340;
    private static final double LEFT = 88;
    private static final double TOP = 2;
    private static final double ROW = 20;
    private static final double MAX_COLUMN = 44;
    private static final int MAX_KINDS = 40;
    private static final int LETTERS = 14;

    /** The width of a letter of a kind's name, in a font whose letters are all of one width. */
    private static final double LETTER = 5.7;

    /**
     * One module.
     *
     * @param percent 0 at the least value of all, 100 at the greatest: the colour
     * @param mark radius of the dot on a selected module
     */
    public record Cell(
            String x,
            String y,
            String width,
            String height,
            String percent,
            String centreX,
            String centreY,
            String mark,
            boolean selected,
            String title) {}

    /** A colour of the legend. */
    public record Step(String x, String percent) {}

    /**
     * A word of the picture.
     *
     * @param length how wide a kind is drawn, whatever the font
     */
    public record Text(String x, String y, String length, String text) {}

    /**
     * @param value of a module, or null
     * @param what the value is called
     */
    static HeatMap of(String key, Modules modules, Function<Module, Double> value, Spread spread, String what) {
        if (spread == null) {
            return null;
        }
        List<String> all = kinds(modules, value);
        List<String> kinds = all.subList(0, Math.min(MAX_KINDS, all.size()));
        Map<Integer, Map<String, Module>> layers = modules.byLayer();
        double column = Math.min(MAX_COLUMN, (WIDTH - LEFT - 2) / layers.size());
        double gap = column > 6 ? 1 : 0;
        double range = spread.max() - spread.min();
        List<Cell> cells = new ArrayList<>();
        List<Text> columns = new ArrayList<>();
        int every = (int) Math.ceil(18 / column);
        int at = 0;
        for (Map.Entry<Integer, Map<String, Module>> layer : layers.entrySet()) {
            double x = LEFT + column * at;
            if (at % every == 0) {
                columns.add(new Text(
                        Format.number(x + column / 2),
                        Format.number(TOP + ROW * kinds.size() + 13),
                        "",
                        Integer.toString(layer.getKey())));
            }
            for (int row = 0; row < kinds.size(); row++) {
                Module module = layer.getValue().get(kinds.get(row));
                Double number = module == null ? null : value.apply(module);
                if (number == null) {
                    continue;
                }
                double y = TOP + ROW * row;
                cells.add(new Cell(
                        Format.number(x),
                        Format.number(y),
                        Format.number(column - gap),
                        Format.number(ROW - 1),
                        Format.number(range == 0 ? 50 : 100 * (number - spread.min()) / range),
                        Format.number(x + (column - gap) / 2),
                        Format.number(y + (ROW - 1) / 2),
                        Format.number(Math.min(3, column / 3)),
                        module.selected(),
                        String.format(
                                Locale.ROOT,
                                "layer %d, %s: %s %.4f%s",
                                module.layer(),
                                module.kind(),
                                what,
                                number,
                                module.selected() ? ", selected" : "")));
            }
            at++;
        }
        List<Text> rows = new ArrayList<>();
        for (int row = 0; row < kinds.size(); row++) {
            String kind = shortened(kinds.get(row));
            double length = LETTER * kind.length();
            rows.add(new Text(
                    Format.number(LEFT - 5 - length),
                    Format.number(TOP + ROW * row + 14),
                    Format.number(length),
                    kind));
        }
        return new HeatMap(
                key, WIDTH, TOP + ROW * kinds.size() + 18, cells, rows, columns, spread, all.size() - kinds.size());
    }

    /** The colours from the least to the greatest value. */
    public List<Step> scale() {
        return IntStream.rangeClosed(0, 10)
                .mapToObj(i -> new Step(Format.number(LEFT - 2 + 15.5 * i), Integer.toString(10 * i)))
                .toList();
    }

    /** In the order of a decoder layer where the names tell it: attention first. Else as they come. */
    private static List<String> kinds(Modules modules, Function<Module, Double> value) {
        return modules.modules().stream()
                .filter(m -> m.layer() != null && value.apply(m) != null)
                .map(Module::kind)
                .distinct()
                .sorted(Comparator.comparingInt(HeatMap::place).thenComparing(Comparator.naturalOrder()))
                .toList();
    }

    private static int place(String kind) {
        List<String> order =
                List.of("q_proj", "k_proj", "v_proj", "qkv", "c_attn", "o_proj", "gate", "up_proj", "fc", "down_proj");
        for (int i = 0; i < order.size(); i++) {
            if (kind.contains(order.get(i))) {
                return i;
            }
        }
        return order.size();
    }

    /** Of a long name, its end. */
    private static String shortened(String kind) {
        String shown = kind.length() <= LETTERS ? kind : kind.substring(kind.lastIndexOf('.') + 1);
        return shown.length() <= LETTERS ? shown : "…" + shown.substring(shown.length() - LETTERS + 1);
    }
}
