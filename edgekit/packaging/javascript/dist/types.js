/** What a generated package says of its model. Names and shapes are the original model's unless they are called the artifact's. */
export {};
