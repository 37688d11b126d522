"""From weights to shipped graphs: ONNX, quantized, judged by the parity gate in each runtime."""
