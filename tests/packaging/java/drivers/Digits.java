import android.content.Context;
import android.graphics.Bitmap;
import bridge.Bridge;
import java.io.IOException;
import java.nio.file.Paths;

/** What an app does with the digits package: opens it, tests it, and asks it for a picture's digit. */
public final class Digits {
    private Digits() {
    }

    /** The folder of the assets; then for each time whether they are compressed. */
    public static void main(String[] arguments) throws IOException {
        for (int time = 1; time < arguments.length; time++) {
            if (time > 1) {
                System.out.println("compressed");
            }
            use(new Context(Paths.get(arguments[0]), Boolean.parseBoolean(arguments[time])));
        }
    }

    private static void use(Context context) throws IOException {
        try (DigitsModel model = new DigitsModel(context)) {
            System.out.println("started " + Bridge.started);
            System.out.println("self test " + model.selfTest());
            int[] argb = new int[56 * 40];
            for (int i = 0; i < argb.length; i++) {
                argb[i] = 0xff000000 | (i * 7919 & 0xffffff);
            }
            print("pixels", model.run(argb, 40, 56, 1));
            print("turned", model.run(argb, 40, 56, 6));
            print("bitmap", model.run(new Bitmap(argb, 40)));
            System.out.println("label " + model.topLabel(model.run(argb, 40, 56, 1)));
            try {
                model.run(new float[3]);
            } catch (IllegalArgumentException problem) {
                System.out.println("refused " + problem.getMessage());
            }
        }
    }

    private static void print(String what, DigitsModel.Outputs outputs) {
        StringBuilder line = new StringBuilder(what);
        for (float value : outputs.logits) {
            line.append(' ').append(value);
        }
        System.out.println(line);
    }
}
