"""`denoiser`: a frame out of noise, from the earlier frames."""
