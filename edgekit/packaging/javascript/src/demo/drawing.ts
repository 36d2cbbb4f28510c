/** A canvas to draw on with mouse, pen or finger. */

import type { Picture } from "../preprocess.js";

const PEN_FRACTION = 0.075; // of the canvas, about the stroke of a handwritten digit

export class Drawing {
  private readonly context: CanvasRenderingContext2D;
  private last: readonly [number, number] | null = null;

  /** `onChange` is told after each stroke. `isLightOnDark` is asked when the canvas is cleared. */
  constructor(private readonly canvas: HTMLCanvasElement, private readonly isLightOnDark: () => boolean, onChange: () => void) {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (context === null) throw new Error("this browser gives no 2D canvas");
    this.context = context;
    this.clear();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = this.place(event);
      this.line(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.last !== null) this.line(event);
    });
    for (const end of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(end, () => {
        if (this.last !== null) onChange();
        this.last = null;
      });
    }
  }

  clear(): void {
    this.context.fillStyle = this.isLightOnDark() ? "black" : "white";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  picture(): Picture {
    return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  private line(event: PointerEvent): void {
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
  private place(event: PointerEvent): [number, number] {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [((event.clientX - left) / width) * this.canvas.width, ((event.clientY - top) / height) * this.canvas.height];
  }
}
