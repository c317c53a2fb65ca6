"""The mathematics of style transfer (Gatys, Ecker & Bethge 2016): tensors in, tensors out.

`pipeline.stage` calls this package, `pipeline.api` and `impasto bench` take parts of it; it imports nothing of theirs.
Read `vgg` (the network) first, then `losses` (Gram matrices, total variation), `objective` (the weighted sum and its
gradient), `lbfgs` (the optimiser) and `styliser` (the pyramid of optimisations). `targets` holds what an image is
compared with, `guidance` the masks, `tiling` evaluations that do not fit into memory, `state` what a checkpoint stores.

Departures from Gatys, and the reason for each:

- A total variation term is added, so that plain areas come out smooth.
- Average pooling, which Gatys recommends, is enlarged to the magnitude of max pooling, so that weights mean the same.
- The gradient is written by hand, so that only those tensors are kept that the backward pass reads.
- L-BFGS makes one evaluation a step without a line search, so that each image of a batch has its own history and ends
  on its own.
- Its initial inverse Hessian damps high frequencies, since the gradient of a picture is mostly noise there.
- The optimisation goes from coarse to fine, so that large strokes are laid at small sizes, where they are cheap.
- Large images are evaluated in tiles with margins, in two passes, so that memory does not limit their size.

Words: a *subject* is a photograph with its paintings and mask; a *layer* is `convN_M` before its rectifier or `reluN_M`
after it; *halvings* are poolings before a layer; a *fit* says how an evaluation is fitted into memory; an *evaluation*
is one value and gradient of the objective.
"""
