#include "runtime/tensor.h"

#include <sstream>

#include "runtime/autograd.h"
#include "tests/check_op.h"
#include "tests/devices.h"

namespace clx::tests {
namespace {

class Tensors : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Tensors, every_device(), device_name);

TEST(Shapes, KnowTheirSizeAndAxes) {
  const Shape s{2, 3, 5};
  EXPECT_EQ(s.rank(), 3);
  EXPECT_EQ(s.size(), 30);
  EXPECT_EQ(s[0], 2);
  EXPECT_EQ(s[-1], 5);
  EXPECT_EQ(Shape{}.size(), 1) << "a scalar";
  EXPECT_EQ((Shape{4, 0, 2}.size()), 0);
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_THROW(s[3], Error);
  EXPECT_THROW(s[-4], Error);
  EXPECT_EQ(concat(s, Shape{}, Shape{7}), "(2,3,5)()(7)");
}

TEST_P(Tensors, HoldEveryDtype) {
  const auto round_trip = []<class T>(const std::vector<T>& values) {
    const Tensor t = Tensor::from_host({static_cast<std::int64_t>(values.size())}, values, device());
    EXPECT_EQ(t.dtype(), kDTypeOf<T>);
    EXPECT_EQ(t.device(), device());
    EXPECT_EQ(t.bytes(), values.size() * sizeof(T));
    return t.to_host<T>();
  };
  EXPECT_EQ(round_trip(std::vector<float>{1, -2.5f}), (std::vector<float>{1, -2.5f}));
  EXPECT_EQ(round_trip(std::vector<std::uint8_t>{0, 255, 7}), (std::vector<std::uint8_t>{0, 255, 7}));
  EXPECT_EQ(round_trip(std::vector<std::int32_t>{-1, 1 << 30}), (std::vector<std::int32_t>{-1, 1 << 30}));
  EXPECT_EQ(round_trip(std::vector<std::int64_t>{-1, 1LL << 60}), (std::vector<std::int64_t>{-1, 1LL << 60}));
  EXPECT_EQ(static_cast<float>(round_trip(std::vector<bf16>{bf16(1.5f)})[0]), 1.5f);
}

TEST_P(Tensors, BeginAsZerosOrAsOneValue) {
  EXPECT_EQ(Tensor::zeros({2, 3}, device()).to_host(), std::vector<float>(6, 0));
  EXPECT_EQ(Tensor::zeros({3}, device(), DType::i64).to_host<std::int64_t>(),
            std::vector<std::int64_t>(3, 0));
  EXPECT_EQ(Tensor::full({5}, 2.5f, device()).to_host(), std::vector<float>(5, 2.5f));
  EXPECT_TRUE(all_close(to_array(Tensor::full({33}, 0.1f, device(), DType::bf16)),
                        map_to(DType::bf16, Array({33}, std::vector<double>(33, 0.1))), {}));
  EXPECT_EQ(Tensor::full({}, 7, device()).item(), 7);
  EXPECT_THROW(Tensor::full({2}, 1, device(), DType::u8), Error);
}

TEST_P(Tensors, MayBeEmpty) {
  const Tensor t({0, 3}, device());
  EXPECT_TRUE(t.defined());
  EXPECT_EQ(t.size(), 0);
  EXPECT_TRUE(t.to_host().empty());
  EXPECT_TRUE(t.clone().to_host().empty());
}

TEST_P(Tensors, BeginFreshMemoryAsNanUnderGuards) {
  for (const float value : Tensor({100}, device()).to_host())
    EXPECT_TRUE(std::isnan(value));
}

TEST(TensorHandle, IsUndefinedByDefault) {
  const Tensor t;
  EXPECT_FALSE(t.defined());
  EXPECT_FALSE(t.view());
  EXPECT_FALSE(t.clone().defined());
  EXPECT_EQ(t.version(), 0u);
  EXPECT_THROW(t.to_host(), Error);
  EXPECT_THROW(t.data(), Error);
}

TEST_P(Tensors, CopiesShareStorageAndClonesDoNot) {
  Tensor a = Tensor::full({3}, 1, device());
  const Tensor same = a, copy = a.clone();
  EXPECT_EQ(same.storage(), a.storage());
  EXPECT_NE(copy.storage(), a.storage());
  a.mutable_view();
  EXPECT_EQ(same.version(), a.version());
  EXPECT_EQ(copy.to_host(), a.to_host());
}

TEST_P(Tensors, CountInPlaceWritesInEveryHandle) {
  Tensor a = Tensor::zeros({4, 2}, device());
  const Tensor view = a.slice(1, 2), reshaped = a.reshape({8});
  const auto before = a.version();
  a.view();
  (void)a.data();
  EXPECT_EQ(a.version(), before) << "reading is no write";
  a.mutable_data();
  EXPECT_GT(a.version(), before);
  EXPECT_EQ(view.version(), a.version());
  EXPECT_EQ(reshaped.version(), a.version());
}

TEST_P(Tensors, SliceRowsAndReshapeWithoutCopying) {
  const Tensor a = Tensor::from_host({3, 2}, std::vector<float>{0, 1, 2, 3, 4, 5}, device());
  const Tensor rows = a.slice(1, 3);
  EXPECT_EQ(rows.shape(), (Shape{2, 2}));
  EXPECT_EQ(rows.to_host(), (std::vector<float>{2, 3, 4, 5}));
  EXPECT_EQ(rows.storage(), a.storage());
  EXPECT_EQ(rows.slice(1, 2).to_host(), (std::vector<float>{4, 5})) << "a slice of a slice";
  EXPECT_EQ(rows.clone().to_host(), (std::vector<float>{2, 3, 4, 5}));
  EXPECT_EQ(rows.to(kCpu).to_host(), (std::vector<float>{2, 3, 4, 5}));
  EXPECT_EQ(a.slice(1, 1).size(), 0);
  EXPECT_EQ(a.reshape({6}).to_host(), a.to_host());
  EXPECT_EQ(a.slice(2, 3).reshape({2, 1}).to_host(), (std::vector<float>{4, 5}));
}

TEST_P(Tensors, RefuseSlicesAndShapesThatDoNotFit) {
  const Tensor a = Tensor::zeros({3, 2}, device());
  EXPECT_THROW(a.slice(0, 4), Error);
  EXPECT_THROW(a.slice(-1, 2), Error);
  EXPECT_THROW(a.slice(2, 1), Error);
  EXPECT_THROW(Tensor::zeros({}, device()).slice(0, 1), Error) << "a scalar has no rows";
  EXPECT_THROW(a.reshape({5}), Error);
  EXPECT_THROW(Tensor().reshape({1}), Error);
}

TEST_P(Tensors, RefuseShapesThatCannotBe) {
  EXPECT_THROW(Tensor({2, -1}, device()), Error);
  EXPECT_THROW(Tensor({1LL << 40, 1LL << 40}, device()), Error) << "the product overflows";
  EXPECT_THROW(Tensor::from_host({2, 2}, std::vector<float>{1, 2, 3}, device()), Error);
  EXPECT_THROW(Tensor({-2, -3}, device()), Error) << "a positive product";
}

TEST_P(Tensors, RefuseToBeReadAsAnotherDtype) {
  const Tensor a = Tensor::zeros({2}, device(), DType::i32);
  EXPECT_THROW(a.to_host<float>(), Error);
  EXPECT_THROW(a.data<std::int64_t>(), Error);
  EXPECT_THROW(Tensor::zeros({2}, device()).item(), Error) << "two elements";
  EXPECT_THROW(Tensor::zeros({1}, device(), DType::i32).item(), Error);
}

TEST_P(Tensors, MoveBetweenDevices) {
  const Tensor there = Tensor::from_host({3}, std::vector<float>{1, 2, 3}).to(device());
  EXPECT_EQ(there.device(), device());
  EXPECT_EQ(there.to_host(), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(there.to(device()).storage(), there.storage());
  const Tensor elsewhere = there.to(device() == kEmulated ? kCpu : kEmulated);
  EXPECT_EQ(elsewhere.to_host(), (std::vector<float>{1, 2, 3}));
}

TEST_P(Tensors, AreLeavesOnlyIfFloating) {
  Tensor f = Tensor::zeros({2}, device()), i = Tensor::zeros({2}, device(), DType::i32), none;
  EXPECT_FALSE(f.requires_grad());
  EXPECT_TRUE(f.require_grad().requires_grad());
  EXPECT_FALSE(f.detach().requires_grad());
  EXPECT_THROW(i.require_grad(), Error);
  EXPECT_THROW(none.require_grad(), Error);
}

}  // namespace
}  // namespace clx::tests
