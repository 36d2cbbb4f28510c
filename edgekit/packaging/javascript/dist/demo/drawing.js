/** A canvas to draw on with mouse, pen or finger. */
const PEN_FRACTION = 0.075; // of the canvas, about the stroke of a handwritten digit
export class Drawing {
    canvas;
    isLightOnDark;
    context;
    last = null;
    /** `onChange` is told after each stroke. `isLightOnDark` is asked when the canvas is cleared. */
    constructor(canvas, isLightOnDark, onChange) {
        this.canvas = canvas;
        this.isLightOnDark = isLightOnDark;
        const context = canvas.getContext("2d", { willReadFrequently: true });
        if (context === null)
            throw new Error("this browser gives no 2D canvas");
        this.context = context;
        this.clear();
        canvas.addEventListener("pointerdown", (event) => {
            canvas.setPointerCapture(event.pointerId);
            this.last = this.place(event);
            this.line(event);
        });
        canvas.addEventListener("pointermove", (event) => {
            if (this.last !== null)
                this.line(event);
        });
        for (const end of ["pointerup", "pointercancel"]) {
            canvas.addEventListener(end, () => {
                if (this.last !== null)
                    onChange();
                this.last = null;
            });
        }
    }
    clear() {
        this.context.fillStyle = this.isLightOnDark() ? "black" : "white";
        this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    }
    picture() {
        return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    }
    line(event) {
        const from = this.last ?? this.place(event);
        const to = this.place(event);
        this.context.strokeStyle = this.isLightOnDark() ? "white" : "black";
        this.context.lineWidth = this.canvas.width * PEN_FRACTION;
        this.context.lineCap = "round";
        this.context.beginPath();
        this.context.moveTo(...from);
        this.context.lineTo(...to);
        this.context.stroke();
        this.last = to;
    }
    /** Where the pointer is, in the canvas's own pixels. */
    place(event) {
        const { left, top, width, height } = this.canvas.getBoundingClientRect();
        return [((event.clientX - left) / width) * this.canvas.width, ((event.clientY - top) / height) * this.canvas.height];
    }
}
