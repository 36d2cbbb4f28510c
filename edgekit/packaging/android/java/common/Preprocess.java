package edgekit.template;

/**
 * From a picture's pixels to the numbers that the model takes: preprocess schema 1 of edgekit, with the arithmetic that the model
 * was calibrated and judged with. Plain Java: it gives the same bits on every machine.
 */
final class Preprocess {
    /** Red, green and blue; blue, green and red; or luma alone. */
    enum Color { RGB, BGR, GRAY }

    /** Stretch the whole picture; cut its centre to the right aspect; or keep all of it and fill the rest. */
    enum Crop { NONE, CENTER, LETTERBOX }

    /** How pixels between pixels are made. */
    enum Filter { NEAREST, BILINEAR, BICUBIC }

    private static final int FIXED_POINT_BITS = 22;
    private static final double CUBIC_A = -0.5;

    private final int height;
    private final int width;
    private final Color color;
    private final boolean applyExif;
    private final Crop crop;
    private final int padValue;
    private final Filter filter;
    private final boolean antialias;
    private final boolean roundToUint8;
    private final double[] mean;
    private final double[] std;
    private final boolean channelsFirst;
    private final int channels;

    Preprocess(int height, int width, Color color, boolean applyExif, Crop crop, int padValue, Filter filter, boolean antialias,
            boolean roundToUint8, double[] mean, double[] std, boolean channelsFirst) {
        this.height = height;
        this.width = width;
        this.color = color;
        this.applyExif = applyExif;
        this.crop = crop;
        this.padValue = padValue;
        this.filter = filter;
        this.antialias = antialias;
        this.roundToUint8 = roundToUint8;
        this.mean = mean;
        this.std = std;
        this.channelsFirst = channelsFirst;
        this.channels = color == Color.GRAY ? 1 : 3;
    }

    /** An app's pixels, seen upright and cut to a part of them; nothing is copied, because photographs are large. */
    private final class Pixels {
        final int height;
        final int width;
        private final int[] argb;
        private final int origin;
        private final int rowStep;
        private final int columnStep;

        Pixels(int[] argb, int origin, int rowStep, int columnStep, int height, int width) {
            this.argb = argb;
            this.origin = origin;
            this.rowStep = rowStep;
            this.columnStep = columnStep;
            this.height = height;
            this.width = width;
        }

        Pixels part(int top, int left, int partHeight, int partWidth) {
            return new Pixels(argb, origin + top * rowStep + left * columnStep, rowStep, columnStep, partHeight, partWidth);
        }

        /** One row, one channel beside the other. */
        double[] row(int y) {
            double[] levels = new double[width * channels];
            for (int x = 0; x < width; x++) {
                put(levels, x * channels, argb[origin + y * rowStep + x * columnStep]);
            }
            return levels;
        }

        void put(double[] levels, int at, int y, int x) {
            put(levels, at, argb[origin + y * rowStep + x * columnStep]);
        }

        private void put(double[] levels, int at, int pixel) {
            int red = pixel >> 16 & 0xff;
            int green = pixel >> 8 & 0xff;
            int blue = pixel & 0xff;
            if (color == Color.GRAY) {
                levels[at] = 19595 * red + 38470 * green + 7471 * blue + 32768 >> 16;
            } else {
                levels[at] = color == Color.BGR ? blue : red;
                levels[at + 1] = green;
                levels[at + 2] = color == Color.BGR ? red : blue;
            }
        }
    }

    /** Where an output position looks: {@code weights[k]} belongs to the input position {@code first + k}. */
    private static final class Taps {
        final int first;
        final double[] weights;

        Taps(int first, double[] weights) {
            this.first = first;
            this.weights = weights;
        }
    }

    /**
     * The model's input in float32.
     *
     * @param argb one {@code int} a pixel, row after row, as {@code Bitmap.getPixels} gives them; alpha is dropped
     * @param exifOrientation 1 to 8, as the file's EXIF says; 1 where it says nothing
     */
    float[] floats(int[] argb, int pictureHeight, int pictureWidth, int exifOrientation) {
        double[] levels = levels(argb, pictureHeight, pictureWidth, exifOrientation);
        float[] values = new float[levels.length];
        for (int position = 0; position < values.length; position++) {
            int channel = position % channels;
            double offset = mean.length == 0 ? 0.0 : mean[channel];
            double scale = std.length == 0 ? 1.0 : std[channel];
            values[place(position)] = (float) ((levels[position] / 255.0 - offset) / scale);
        }
        return values;
    }

    /** The model's input in uint8: the levels as they are. See {@link #floats}. */
    byte[] bytes(int[] argb, int pictureHeight, int pictureWidth, int exifOrientation) {
        double[] levels = levels(argb, pictureHeight, pictureWidth, exifOrientation);
        byte[] values = new byte[levels.length];
        for (int position = 0; position < values.length; position++) {
            values[place(position)] = (byte) (int) levels[position];
        }
        return values;
    }

    private int place(int position) {
        return channelsFirst ? position % channels * height * width + position / channels : position;
    }

    /**
     * The result's levels from 0 to 255 and, where nothing is rounded, between and beyond them: row after row, one channel beside the
     * other.
     */
    private double[] levels(int[] argb, int pictureHeight, int pictureWidth, int exifOrientation) {
        if (pictureHeight < 1 || pictureWidth < 1 || argb.length < (long) pictureHeight * pictureWidth) {
            throw new IllegalArgumentException("a picture of " + pictureHeight + " x " + pictureWidth + " needs that many pixels, not "
                    + argb.length);
        }
        Pixels pixels = upright(argb, pictureHeight, pictureWidth, applyExif ? exifOrientation : 1);
        if (crop == Crop.CENTER) {
            int[] part = fitted(height, width, pixels.height, pixels.width);
            pixels = pixels.part((pixels.height - part[0]) / 2, (pixels.width - part[1]) / 2, part[0], part[1]);
        }
        int[] inner = crop == Crop.LETTERBOX ? fitted(pixels.height, pixels.width, height, width) : new int[] {height, width};
        double[] resized = filter == Filter.NEAREST ? nearest(pixels, inner[0], inner[1]) : resampled(pixels, inner[0], inner[1]);
        return inner[0] == height && inner[1] == width ? resized : boxed(resized, inner[0], inner[1]);
    }

    private Pixels upright(int[] argb, int pictureHeight, int pictureWidth, int orientation) {
        boolean turned = orientation >= 5 && orientation <= 8;
        boolean mirrored = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
        boolean flipped = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
        int uprightHeight = turned ? pictureWidth : pictureHeight;
        int uprightWidth = turned ? pictureHeight : pictureWidth;
        int rowStep = turned ? 1 : pictureWidth;
        int columnStep = turned ? pictureWidth : 1;
        int origin = (flipped ? (uprightHeight - 1) * rowStep : 0) + (mirrored ? (uprightWidth - 1) * columnStep : 0);
        return new Pixels(argb, origin, flipped ? -rowStep : rowStep, mirrored ? -columnStep : columnStep, uprightHeight, uprightWidth);
    }

    /** The largest {height, width} of the same aspect that fits into the box; the free side is rounded half up. */
    private static int[] fitted(long height, long width, long intoHeight, long intoWidth) {
        if (width * intoHeight > height * intoWidth) {
            return new int[] {(int) Math.max(1, (2 * height * intoWidth + width) / (2 * width)), (int) intoWidth};
        }
        return new int[] {(int) intoHeight, (int) Math.max(1, (2 * width * intoHeight + height) / (2 * height))};
    }

    private double[] boxed(double[] inner, int innerHeight, int innerWidth) {
        double[] box = new double[height * width * channels];
        java.util.Arrays.fill(box, padValue);
        int top = (height - innerHeight) / 2;
        int left = (width - innerWidth) / 2;
        for (int y = 0; y < innerHeight; y++) {
            System.arraycopy(inner, y * innerWidth * channels, box, ((top + y) * width + left) * channels, innerWidth * channels);
        }
        return box;
    }

    private double[] nearest(Pixels pixels, int toHeight, int toWidth) {
        double[] resized = new double[toHeight * toWidth * channels];
        for (int y = 0; y < toHeight; y++) {
            int row = (int) ((2L * y + 1) * pixels.height / (2L * toHeight));
            for (int x = 0; x < toWidth; x++) {
                int column = (int) ((2L * x + 1) * pixels.width / (2L * toWidth));
                pixels.put(resized, (y * toWidth + x) * channels, row, column);
            }
        }
        return resized;
    }

    /** Two passes, first along the rows, then along the columns. Of the first, only the rows that the second looks at are kept. */
    private double[] resampled(Pixels pixels, int toHeight, int toWidth) {
        Taps[] columns = taps(pixels.width, toWidth);
        Taps[] rows = taps(pixels.height, toHeight);
        int stride = toWidth * channels;
        double[] resized = new double[toHeight * stride];
        double[][] across = new double[pixels.height][];
        int gone = 0;
        for (int y = 0; y < toHeight; y++) {
            Taps taps = rows[y];
            for (; gone < taps.first; gone++) {
                across[gone] = null;
            }
            double[] column = new double[taps.weights.length];
            for (int k = 0; k < column.length; k++) {
                if (across[taps.first + k] == null) {
                    across[taps.first + k] = resampledRow(pixels.row(taps.first + k), columns);
                }
            }
            for (int x = 0; x < stride; x++) {
                for (int k = 0; k < column.length; k++) {
                    column[k] = across[taps.first + k][x];
                }
                resized[y * stride + x] = weighted(column, 0, 1, taps.weights);
            }
        }
        return resized;
    }

    private double[] resampledRow(double[] row, Taps[] columns) {
        double[] resized = new double[columns.length * channels];
        for (int x = 0; x < columns.length; x++) {
            for (int channel = 0; channel < channels; channel++) {
                resized[x * channels + channel] = weighted(row, columns[x].first * channels + channel, channels, columns[x].weights);
            }
        }
        return resized;
    }

    /** One sum: in whole numbers of 2^-22, rounded half up and clipped; or in double, as it comes. */
    private double weighted(double[] levels, int start, int stride, double[] weights) {
        if (!roundToUint8) {
            double total = 0.0;
            for (int k = 0; k < weights.length; k++) {
                total += levels[start + k * stride] * weights[k];
            }
            return total;
        }
        int total = 1 << FIXED_POINT_BITS - 1;
        for (int k = 0; k < weights.length; k++) {
            total += (int) levels[start + k * stride] * (int) weights[k];
        }
        return Math.min(Math.max(total >> FIXED_POINT_BITS, 0), 255);
    }

    /** Half-pixel centres; taps outside the picture are left out and the rest scaled to a sum of 1. */
    private Taps[] taps(int sizeIn, int sizeOut) {
        double scale = (double) sizeIn / sizeOut;
        double widening = antialias ? Math.max(scale, 1.0) : 1.0;
        double support = (filter == Filter.BICUBIC ? 2.0 : 1.0) * widening;
        Taps[] found = new Taps[sizeOut];
        for (int position = 0; position < sizeOut; position++) {
            double centre = (position + 0.5) * scale;
            int first = Math.max((int) (centre - support + 0.5), 0);
            int end = Math.min((int) (centre + support + 0.5), sizeIn);
            double[] weights = new double[end - first];
            double total = 0.0;
            for (int k = 0; k < weights.length; k++) {
                weights[k] = weight((first + k - centre + 0.5) * (1.0 / widening));
                total += weights[k];
            }
            for (int k = 0; k < weights.length; k++) {
                double normalised = weights[k] / total;
                weights[k] = roundToUint8 ? fixedPoint(normalised) : normalised;
            }
            found[position] = new Taps(first, weights);
        }
        return found;
    }

    private double weight(double distance) {
        double x = Math.abs(distance);
        if (filter == Filter.BILINEAR) {
            return x < 1.0 ? 1.0 - x : 0.0;
        }
        if (x < 1.0) {
            return ((CUBIC_A + 2.0) * x - (CUBIC_A + 3.0)) * x * x + 1.0;
        }
        return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * CUBIC_A : 0.0;
    }

    private static int fixedPoint(double weight) {
        double scaled = weight * (1 << FIXED_POINT_BITS);
        return (int) (scaled + (scaled >= 0 ? 0.5 : -0.5));
    }
}
