// Play a world's model in C++ with onnxruntime's C++ API (its release archive has headers and library):
//
//   g++ -std=c++17 play_model.cpp -I onnxruntime/include -L onnxruntime/lib -lonnxruntime -o play_model
//   ./play_model site/wm/worlds/breakout-0123456789ab/object_laws/step.fp32.onnx start.bin
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include <onnxruntime_cxx_api.h>

int main(int, char** argv) {
  Ort::Env env;
  Ort::Session session(env, argv[1], Ort::SessionOptions{});
  Ort::AllocatorWithDefaultOptions allocator;
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);

  std::vector<std::string> inputs, outputs;
  for (size_t i = 0; i < session.GetInputCount(); i++)
    inputs.push_back(session.GetInputNameAllocated(i, allocator).get());
  for (size_t i = 0; i < session.GetOutputCount(); i++)
    outputs.push_back(session.GetOutputNameAllocated(i, allocator).get());

  // Each input's bytes, all zero at first, and its shape.
  std::map<std::string, std::vector<char>> data;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (size_t i = 0; i < inputs.size(); i++) {
    auto type = session.GetInputTypeInfo(i);
    auto info = type.GetTensorTypeAndShapeInfo();
    size_t width = info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 ? 1 : 4;
    shapes[inputs[i]] = info.GetShape();
    data[inputs[i]].resize(info.GetElementCount() * width);
  }
  // play_model.py wrote it: the frame's bytes, then the sensors as float32.
  std::ifstream file(argv[2], std::ios::binary);
  file.read(data["state_frame"].data(), data["state_frame"].size());
  if (data.count("state_sensors")) file.read(data["state_sensors"].data(), data["state_sensors"].size());

  std::vector<const char*> in, out;
  for (auto& name : inputs) in.push_back(name.c_str());
  for (auto& name : outputs) out.push_back(name.c_str());
  float score = 0, over = 0;
  for (int step = 0; step < 30; step++) {
    auto* action = reinterpret_cast<float*>(data["action"].data());
    size_t keys = data["action"].size() / 4;
    for (size_t k = 0; k < keys; k++) action[k] = k == step % keys;  // one key of spec.actions

    std::vector<Ort::Value> values;
    for (auto& name : inputs) {
      auto &bytes = data[name];
      auto &shape = shapes[name];
      auto type = name == "state_frame" ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
      values.push_back(Ort::Value::CreateTensor(memory, bytes.data(), bytes.size(), shape.data(), shape.size(), type));
    }
    auto results = session.Run(Ort::RunOptions{}, in.data(), values.data(), in.size(), out.data(), out.size());
    for (size_t i = 0; i < results.size(); i++) {
      // `frame` goes into `state_frame`, `next_hidden` into `state_hidden`, as model.state of world.json says.
      std::string to = outputs[i] == "frame" ? "state_frame" : "state_" + outputs[i].substr(outputs[i].find('_') + 1);
      if (outputs[i] == "reward") score += *results[i].GetTensorData<float>();
      else if (outputs[i] == "terminated") over = *results[i].GetTensorData<float>();
      else {
        auto* from = static_cast<const char*>(results[i].GetTensorRawData());
        std::copy(from, from + data[to].size(), data[to].begin());
      }
    }
  }
  std::printf("after 30 steps: reward %.1f, over: %d\n", score, over > 0.5f);
}
