"""The mathematics of style transfer (Gatys, Ecker & Bethge 2016): tensors in, tensors out.

`pipeline.stage` calls this package, and `pipeline.api` and `impasto bench` use parts of it; it imports none of them.
Read `vgg` (the network) first, then `moments` (means and second moments of features), `gram` and `wasserstein` (the
two style terms), `losses` (weights, total variation), `objective` (the weighted sum and its gradient), `lbfgs` (the
optimiser) and `styliser` (the pyramid of optimisations). `targets` has the features and statistics with which an image
is compared, `matrix_roots` the roots that the Wasserstein distance needs, `guidance` the masks, `tiling` the evaluation
of images that do not fit into memory, and `state` the data of a checkpoint.

Departures from Gatys, and the reason for each:

- By default the style term is a Wasserstein distance, in units of the painting's variance. Gram matrices are of fourth
  order in the features, so that one layer decides nearly everything.
- A total variation term is added, so that plain areas become smooth.
- Average pooling, which Gatys recommends, is enlarged to the magnitude of max pooling, so that weights have the same
  effect with both.
- The gradient is written by hand, so that only the tensors that the backward pass reads are kept.
- L-BFGS makes one evaluation a step without a line search, so that each image of a batch has its own history and ends
  on its own.
- Its initial inverse Hessian damps high frequencies, since the gradient of a picture is mostly noise there.
- The optimisation goes from coarse to fine, so that large strokes are laid at small sizes, where they are cheap.
- Large images are evaluated in tiles with margins, in two passes, so that memory does not limit their size.

Words: a *subject* is a photograph with its paintings and mask; a *layer* is `convN_M` before its rectifier or `reluN_M`
after it; *halvings* are the number of poolings before a layer; a *fit* is a way to fit an evaluation into memory; an
*evaluation* is one computation of the objective and its gradient.
"""
