// The learning rate of each epoch.
#pragma once

namespace clx::nn {

/// Half a cosine from lr down to 0, which it would reach after the last epoch.
///
///   lr_e = ½·lr·(1 + cos(π·e/epochs)),  e = 0 … epochs − 1
///
/// Throws    Error if the epoch is out of range
/// Source    Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5 without restarts
double cosine(double lr, int epoch, int epochs);

/// Linear from lr/10 to lr over `warmup` epochs, then the cosine over the rest.
///
///   lr_e = lr·(0.1 + 0.9·e/warmup) for e < warmup, else ½·lr·(1 + cos(π·(e − warmup)/(epochs − warmup)))
///
/// Throws    Error if the epoch is out of range or warmup outside 0 … epochs
double warmup_cosine(double lr, int epoch, int epochs, int warmup);

}  // namespace clx::nn
