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
    }

    /** The picture as levels from 0 to 255 and, where nothing is rounded, between and beyond them; one channel beside the other. */
    private static final class Picture {
        final int height;
        final int width;
        final int channels;
        final double[] levels;

        Picture(int height, int width, int channels) {
            this.height = height;
            this.width = width;
            this.channels = channels;
            this.levels = new double[Math.multiplyExact(Math.multiplyExact(height, width), channels)];
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
        Picture picture = levels(argb, pictureHeight, pictureWidth, exifOrientation);
        float[] values = new float[picture.levels.length];
        for (int position = 0; position < values.length; position++) {
            int channel = position % picture.channels;
            double offset = mean.length == 0 ? 0.0 : mean[channel];
            double scale = std.length == 0 ? 1.0 : std[channel];
            values[place(position, picture)] = (float) ((picture.levels[position] / 255.0 - offset) / scale);
        }
        return values;
    }

    /** The model's input in uint8: the levels as they are. See {@link #floats}. */
    byte[] bytes(int[] argb, int pictureHeight, int pictureWidth, int exifOrientation) {
        Picture picture = levels(argb, pictureHeight, pictureWidth, exifOrientation);
        byte[] values = new byte[picture.levels.length];
        for (int position = 0; position < values.length; position++) {
            values[place(position, picture)] = (byte) (int) picture.levels[position];
        }
        return values;
    }

    private int place(int position, Picture picture) {
        if (!channelsFirst) {
            return position;
        }
        int channel = position % picture.channels;
        return channel * picture.height * picture.width + position / picture.channels;
    }

    private Picture levels(int[] argb, int pictureHeight, int pictureWidth, int exifOrientation) {
        if (pictureHeight < 1 || pictureWidth < 1 || argb.length < (long) pictureHeight * pictureWidth) {
            throw new IllegalArgumentException("a picture of " + pictureHeight + " x " + pictureWidth + " needs that many pixels, not "
                    + argb.length);
        }
        Picture picture = decoded(argb, pictureHeight, pictureWidth, applyExif ? exifOrientation : 1);
        if (crop == Crop.CENTER) {
            int[] part = fitted(height, width, picture.height, picture.width);
            picture = part(picture, (picture.height - part[0]) / 2, (picture.width - part[1]) / 2, part[0], part[1]);
        }
        int[] inner = crop == Crop.LETTERBOX ? fitted(picture.height, picture.width, height, width) : new int[] {height, width};
        Picture resized = filter == Filter.NEAREST ? nearest(picture, inner[0], inner[1]) : resampled(picture, inner[0], inner[1]);
        return inner[0] == height && inner[1] == width ? resized : boxed(resized);
    }

    /** Upright, with the channels that the model takes. */
    private Picture decoded(int[] argb, int pictureHeight, int pictureWidth, int orientation) {
        boolean turned = orientation >= 5 && orientation <= 8;
        boolean mirrored = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
        boolean flipped = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
        Picture picture = new Picture(turned ? pictureWidth : pictureHeight, turned ? pictureHeight : pictureWidth,
                color == Color.GRAY ? 1 : 3);
        int at = 0;
        for (int y = 0; y < picture.height; y++) {
            int row = flipped ? picture.height - 1 - y : y;
            for (int x = 0; x < picture.width; x++) {
                int column = mirrored ? picture.width - 1 - x : x;
                int pixel = argb[turned ? column * pictureWidth + row : row * pictureWidth + column];
                int red = pixel >> 16 & 0xff;
                int green = pixel >> 8 & 0xff;
                int blue = pixel & 0xff;
                if (color == Color.GRAY) {
                    picture.levels[at++] = 19595 * red + 38470 * green + 7471 * blue + 32768 >> 16;
                } else {
                    picture.levels[at++] = color == Color.BGR ? blue : red;
                    picture.levels[at++] = green;
                    picture.levels[at++] = color == Color.BGR ? red : blue;
                }
            }
        }
        return picture;
    }

    /** The largest {height, width} of the same aspect that fits into the box; the free side is rounded half up. */
    private static int[] fitted(long height, long width, long intoHeight, long intoWidth) {
        if (width * intoHeight > height * intoWidth) {
            return new int[] {(int) Math.max(1, (2 * height * intoWidth + width) / (2 * width)), (int) intoWidth};
        }
        return new int[] {(int) intoHeight, (int) Math.max(1, (2 * width * intoHeight + height) / (2 * height))};
    }

    private static Picture part(Picture picture, int top, int left, int partHeight, int partWidth) {
        Picture part = new Picture(partHeight, partWidth, picture.channels);
        for (int y = 0; y < partHeight; y++) {
            System.arraycopy(picture.levels, ((top + y) * picture.width + left) * picture.channels, part.levels,
                    y * partWidth * picture.channels, partWidth * picture.channels);
        }
        return part;
    }

    private Picture boxed(Picture inner) {
        Picture box = new Picture(height, width, inner.channels);
        java.util.Arrays.fill(box.levels, padValue);
        int top = (height - inner.height) / 2;
        int left = (width - inner.width) / 2;
        for (int y = 0; y < inner.height; y++) {
            System.arraycopy(inner.levels, y * inner.width * inner.channels, box.levels, ((top + y) * width + left) * inner.channels,
                    inner.width * inner.channels);
        }
        return box;
    }

    private static Picture nearest(Picture picture, int toHeight, int toWidth) {
        Picture resized = new Picture(toHeight, toWidth, picture.channels);
        int at = 0;
        for (int y = 0; y < toHeight; y++) {
            int row = (int) ((2L * y + 1) * picture.height / (2L * toHeight));
            for (int x = 0; x < toWidth; x++) {
                int column = (int) ((2L * x + 1) * picture.width / (2L * toWidth));
                for (int channel = 0; channel < picture.channels; channel++) {
                    resized.levels[at++] = picture.levels[(row * picture.width + column) * picture.channels + channel];
                }
            }
        }
        return resized;
    }

    /** Two passes, first along the rows, then along the columns. */
    private Picture resampled(Picture picture, int toHeight, int toWidth) {
        Picture across = new Picture(picture.height, toWidth, picture.channels);
        Taps[] columns = taps(picture.width, toWidth);
        for (int y = 0; y < picture.height; y++) {
            for (int x = 0; x < toWidth; x++) {
                for (int channel = 0; channel < picture.channels; channel++) {
                    int start = (y * picture.width + columns[x].first) * picture.channels + channel;
                    across.levels[(y * toWidth + x) * picture.channels + channel] =
                            weighted(picture.levels, start, picture.channels, columns[x].weights);
                }
            }
        }
        Picture down = new Picture(toHeight, toWidth, picture.channels);
        Taps[] rows = taps(picture.height, toHeight);
        int stride = toWidth * picture.channels;
        for (int y = 0; y < toHeight; y++) {
            for (int x = 0; x < stride; x++) {
                down.levels[y * stride + x] = weighted(across.levels, rows[y].first * stride + x, stride, rows[y].weights);
            }
        }
        return down;
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
