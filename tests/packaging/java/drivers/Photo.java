/** The preprocessing of a photograph of 12 megapixels, whose pixels follow a rule: prints the numbers that the model would get. */
public final class Photo {
    private Photo() {
    }

    public static void main(String[] arguments) {
        int[] argb = new int[3000 * 4000];
        for (int i = 0; i < argb.length; i++) {
            argb[i] = (int) (i * 2654435761L >>> 8);
        }
        Preprocess preprocess = new Preprocess(8, 8, Preprocess.Color.RGB, true, Preprocess.Crop.CENTER, 0, Preprocess.Filter.BICUBIC,
                true, true, new double[] {}, new double[] {}, false);
        StringBuilder line = new StringBuilder();
        for (float value : preprocess.floats(argb, 3000, 4000, 8)) {
            line.append(value).append(' ');
        }
        System.out.println(line);
    }
}
